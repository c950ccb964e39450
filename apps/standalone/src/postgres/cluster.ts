import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { StartupError } from '@relay/platform';
import type { Binaries } from './binaries.js';
import type { PostgresDataDir } from './postgres-data-dir.js';

export const DATABASE_USER = 'relay';

export function dataOf(place: PostgresDataDir): string {
  return join(place.path, 'data');
}

/** Of what initdb is started with, and the server: settings that a person has for another PostgreSQL are not for this one. */
export function quietEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('PG') && !name.startsWith('LC_'),
  );
  return { ...Object.fromEntries(own), LC_ALL: 'C' };
}

/**
 * Makes the database's files where there are none. They are made beside their place and moved there in one step: a
 * process that is killed meanwhile leaves nothing that the next start would take for a database.
 */
export async function ensureCluster(
  place: PostgresDataDir,
  binaries: Binaries,
  password: string,
): Promise<void> {
  for (const name of readdirSync(place.path)) {
    // An initdb that was left alone may still be writing.
    if (name.startsWith('new-')) rmSync(join(place.path, name), { recursive: true, maxRetries: 10 });
  }
  if (existsSync(dataOf(place))) return;
  const fresh = mkdtempSync(join(place.path, 'new-'));
  const passwordFile = join(fresh, 'password');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (place.user !== undefined) {
    for (const path of [fresh, passwordFile]) chownSync(path, place.user.uid, place.user.gid);
  }
  await initialise(binaries.initdb, place, join(fresh, 'data'), passwordFile);
  renameSync(join(fresh, 'data'), dataOf(place));
  rmSync(fresh, { recursive: true });
}

async function initialise(
  initdb: string,
  place: PostgresDataDir,
  data: string,
  passwordFile: string,
): Promise<void> {
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const access = ['--auth=scram-sha-256', `--username=${DATABASE_USER}`, `--pwfile=${passwordFile}`];
  const child = spawn(initdb, [`--pgdata=${data}`, ...locale, ...access], {
    ...place.user,
    cwd: place.path,
    env: quietEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
    windowsHide: true,
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  try {
    const [complaint] = await Promise.all([text(child.stderr), once(child, 'close')]);
    if (child.exitCode === 0) return;
    const reason = complaint.trim().split('\n').at(0) ?? '';
    throw new StartupError(`PostgreSQL's files could not be made in ${place.path}: ${reason}`);
  } finally {
    process.off('exit', kill);
  }
}
