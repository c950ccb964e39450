import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { acquirePidLock, holderOf, StartupError } from '@relay/platform';

const POLL_INTERVAL_MS = 100;
/** A batch in flight may wait a minute for an answer of Bitrix24. */
const RELEASE_TIMEOUT_MS = 75_000;

/** The folder of the consumers that `npm run dev` runs: one folder each, with its process in `lock`. */
function folderOf(dataDir: string, app: string): string {
  return join(dataDir, 'dev', app);
}

/** Those whose `npm run dev` lives; one that was killed gives its consumer back. */
export function takenOver(dataDir: string): Set<string> {
  const folder = join(dataDir, 'dev');
  const apps = existsSync(folder) ? readdirSync(folder) : [];
  return new Set(apps.filter((app) => holderOf(folderOf(dataDir, app)) !== undefined));
}

/** `npm start` says that it does not run this consumer any more. */
export function noteReleased(dataDir: string, app: string): void {
  try {
    writeFileSync(join(folderOf(dataDir, app), 'released'), '');
  } catch {
    // Its npm run dev has ended meanwhile.
  }
}

/**
 * Makes this process the one that runs the consumer. Returns the function that gives it back.
 * @throws StartupError when another one does
 */
export function takeOver(dataDir: string, app: string): () => void {
  const folder = folderOf(dataDir, app);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const release = acquirePidLock(
    folder,
    (pid) => `${app} is run by another npm run dev (process ${pid}): end that one first.`,
  );
  rmSync(join(folder, 'released'), { force: true });
  return () => {
    release();
    rmSync(folder, { recursive: true, force: true });
    // The last one; a folder with others in it stays.
    if (readdirSync(join(dataDir, 'dev')).length === 0) rmdirSync(join(dataDir, 'dev'));
  };
}

/** @throws StartupError when the running `npm start` goes on with it */
export async function untilReleased(dataDir: string, app: string): Promise<void> {
  for (const until = Date.now() + RELEASE_TIMEOUT_MS; Date.now() < until; await pause(POLL_INTERVAL_MS))
    if (existsSync(join(folderOf(dataDir, app), 'released'))) return;
  throw new StartupError(`The running npm start does not let go of ${app}: end it and start again.`);
}

/** What `npm start` gave to its consumers. Has secrets, as secrets.env beside it. */
export function environmentFile(dataDir: string): string {
  return join(dataDir, 'environment.json');
}

export function readEnvironmentFile(dataDir: string): Record<string, string> | undefined {
  const file = environmentFile(dataDir);
  if (!existsSync(file)) return undefined;
  const values: unknown = JSON.parse(readFileSync(file, 'utf8'));
  return Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) => [name, String(value)]));
}
