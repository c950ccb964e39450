import { spawnSync } from 'node:child_process';
import { existsSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '../errors/fatal-error.js';

/** Others may take away a lock at the same time; after so many turns something else is wrong. */
const MAX_ATTEMPTS = 10;

/**
 * Makes the folder this process's own, by the file `lock` with its id. A lock whose process is gone, as after
 * `kill -9` or a power cut, does not count. Returns the function that gives the folder back.
 * @param inUse what to say of the process that has it
 * @throws StartupError when another process has it
 */
export function acquirePidLock(
  folder: string,
  inUse = (pid: number): string =>
    `${folder} is in use by another npm start (process ${pid}): end that one, or give this one a folder and ports of its own: DATA_DIR, PORT, OPS_PORT, SIMULATOR_PORT.`,
): () => void {
  const path = join(folder, 'lock');
  const mine = `${process.pid} ${startOf(process.pid)}\n`;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    if (createAtomically(path, mine)) {
      const release = (): void => {
        if (readIfExists(path) === mine) rmSync(path);
      };
      // However this process ends, except by kill -9.
      process.once('exit', release);
      return release;
    }
    const found = readIfExists(path);
    if (found === undefined) continue;
    const pid = findLiveHolder(found);
    if (pid !== undefined) {
      throw new StartupError(inUse(pid));
    }
    removeStale(path, found);
  }
  throw new StartupError(`${path} comes back whenever it is removed: is another npm start at work?`);
}

/** The id of the living process whose the folder is, if any. */
export function holderOf(folder: string): number | undefined {
  const found = readIfExists(join(folder, 'lock'));
  return found === undefined ? undefined : findLiveHolder(found);
}

function findLiveHolder(lock: string): number | undefined {
  const [pid, start] = lock.trim().split(' ', 2);
  return pid !== undefined && start !== undefined && startOf(Number(pid)) === start ? Number(pid) : undefined;
}

/** A lock is there with all that it says, or not at all. @returns false when there is one already */
function createAtomically(path: string, text: string): boolean {
  const own = `${path}.${process.pid}`;
  writeFileSync(own, text, { mode: 0o600 });
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Two processes may find the same stale lock: what the slower one takes away is the faster one's, and is put back. */
function removeStale(path: string, stale: string): void {
  const stalePath = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, stalePath);
  } catch {
    return;
  }
  try {
    if (readFileSync(stalePath, 'utf8') !== stale) createAtomically(path, readFileSync(stalePath, 'utf8'));
  } finally {
    rmSync(stalePath, { force: true });
  }
}

function readIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}

/**
 * When a process began, in the system's own words, to tell it from a later one that was given the same id; undefined
 * when there is no such process (any more).
 */
export function startOf(pid: number): string | undefined {
  if (!existsSync('/proc/self/stat')) return listed(pid, 'lstart') ?? (isThere(pid) ? 'unknown' : undefined);
  const stat = readProc(pid, 'stat');
  // After the command's name, which may hold anything: state, …, and as the 20th the time in ticks (proc(5)).
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields === undefined || fields[0] === 'Z' ? undefined : fields[19];
}

/** The command line of a process; undefined when it is gone, or cannot be asked here. */
export function commandOf(pid: number): string | undefined {
  if (!existsSync('/proc/self/stat')) return listed(pid, 'command');
  return readProc(pid, 'cmdline')?.replaceAll('\0', ' ');
}

function readProc(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return undefined;
  }
}

function listed(pid: number, column: string): string | undefined {
  const { stdout } = spawnSync('ps', ['-o', `${column}=`, '-p', String(pid)], { encoding: 'utf8' });
  return stdout?.trim() || undefined;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
