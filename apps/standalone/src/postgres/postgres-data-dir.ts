import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, lstatSync, mkdirSync, realpathSync, rmdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '@relay/platform';

/** As whom PostgreSQL runs when this process is root, as which it does not run. */
interface ServerUser {
  uid: number;
  gid: number;
}

/** Every Unix has `nobody`; where PostgreSQL is installed as well, its own user suits better. */
const CANDIDATES = ['postgres', 'nobody'];

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

/** Undefined: as whoever runs this process. Who owns the folder already goes on with it. */
function serverUser(place: string): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owner = lstatSync(place, { throwIfNoEntry: false }) && statSync(place, { throwIfNoEntry: false });
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  for (const name of CANDIDATES) {
    const [uid, gid] = [idOf('-u', name), idOf('-g', name)];
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  throw new StartupError(
    'PostgreSQL does not run as root, and there is no user postgres or nobody: start as an ordinary user, or set DATABASE_URL.',
  );
}

/** Asked of the system itself: modes alone do not tell of access lists and mounts. */
function canUseFolder(path: string, user: ServerUser): boolean {
  const script = 'cd -- "$1" && test -w .';
  return spawnSync('/bin/sh', ['-c', script, 'sh', path], { ...user, cwd: '/' }).status === 0;
}

export function canRun(program: string, user: ServerUser): boolean {
  return spawnSync(program, ['--version'], { ...user, cwd: '/' }).status === 0;
}

function idOf(flag: string, name: string): number | undefined {
  const { status, stdout } = spawnSync('id', [flag, name], { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : undefined;
}
