import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

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
