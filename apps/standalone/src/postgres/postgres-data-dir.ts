import { randomBytes } from 'node:crypto';
import { chownSync, lstatSync, mkdirSync, realpathSync, rmdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { canUseFolder, serverUser, type ServerUser } from './server-user.js';

export interface PostgresDataDir {
  path: string;
  user: ServerUser | undefined;
}

/** Not /var/tmp, which many systems clear of what was not touched for a month. */
const FALLBACK_ROOT = '/var/lib';

/**
 * Where PostgreSQL keeps its files: `postgres` in the data folder. When this process is root, PostgreSQL runs as another
 * user, who cannot come into a folder below one such as /root; there, `postgres` is a link to a folder outside.
 */
export function preparePostgresDataDir(dataDir: string): PostgresDataDir {
  const inside = join(dataDir, 'postgres');
  const user = serverUser(inside);
  if (lstatSync(inside, { throwIfNoEntry: false }) === undefined) makeFor(user, inside);
  if (user !== undefined && !lstatSync(inside).isSymbolicLink() && !canUseFolder(inside, user)) {
    const elsewhere = join(FALLBACK_ROOT, `b24-relay-${randomBytes(4).toString('hex')}`);
    makeFor(user, elsewhere);
    // Fails when something is in there, and then nothing is lost.
    rmdirSync(inside);
    symlinkSync(elsewhere, inside);
  }
  return { path: realpathSync(inside), user };
}

function makeFor(user: ServerUser | undefined, path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (user !== undefined) chownSync(path, user.uid, user.gid);
}
