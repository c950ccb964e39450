import { spawnSync } from 'node:child_process';
import { lstatSync, statSync } from 'node:fs';
import { StartupError } from '@relay/platform';

/** As whom PostgreSQL runs when this process is root, which it refuses to be. */
export interface ServerUser {
  uid: number;
  gid: number;
}

/** Every Unix has `nobody`; where PostgreSQL is installed as well, its own user suits better. */
const CANDIDATES = ['postgres', 'nobody'];

/** Undefined: as whoever runs this process. Who owns the folder already goes on with it. */
export function serverUser(place: string): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owner = lstatSync(place, { throwIfNoEntry: false }) && statSync(place, { throwIfNoEntry: false });
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  for (const name of CANDIDATES) {
    const [uid, gid] = [idOf('-u', name), idOf('-g', name)];
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  throw new StartupError(
    'PostgreSQL refuses to run as root, and there is no user postgres or nobody: start as an ordinary user, or set DATABASE_URL.',
  );
}

/** Asked of the system itself: modes alone do not tell of access lists and mounts. */
export function canUseFolder(path: string, user: ServerUser): boolean {
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
