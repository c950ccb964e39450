import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DataSource, DataSourceOptions } from 'typeorm';
import { databaseOptions } from './database.js';
import type { Log } from './logger.js';
import { StartupError } from './fatal-error.js';

/** An arbitrary constant: concurrent runs are serialized by this advisory lock. */
const LOCK_ID = 24_000_001;

const ROOT = join(import.meta.dirname, '../../..');
/** `.js` in the build; `.ts` when Jest runs the sources. */
const EXTENSION = extname(import.meta.filename);

export type Migrations = NonNullable<DataSourceOptions['migrations']>;

/**
 * Every export of the files in the folders `migrations/` of libs and apps, so that a new consumer needs no
 * registration. Production and specs load migrations by this function only.
 * @param room limits them to one lib or app, such as `libs/portals`
 */
export async function loadMigrations(room?: string): Promise<Migrations> {
  const folders = room === undefined ? ['libs', 'apps'] : [join(room, 'src')];
  const files = await Promise.all(folders.map((folder) => migrationFiles(join(ROOT, folder))));
  const modules: object[] = await Promise.all(files.flat().map((file) => import(pathToFileURL(file).href)));
  return modules.flatMap((module) => Object.values(module));
}

async function migrationFiles(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true });
  return files
    .filter((file) => basename(dirname(file)) === 'migrations' && extname(file) === EXTENSION)
    .map((file) => join(folder, file));
}

/** Migrates the database to this version. Concurrent runs are safe. */
export async function runMigrations(url: string, log: Log): Promise<void> {
  const source = await connect(url);
  const lock = source.createQueryRunner();
  try {
    await lock.query('SELECT pg_advisory_lock($1)', [LOCK_ID]);
    const done = await source.runMigrations({ transaction: 'each' });
    log.info(
      { migrations: done.map(({ name }) => name) },
      done.length > 0 ? 'database migrated' : 'database is up to date',
    );
  } finally {
    await lock.release();
    await source.destroy();
  }
}

/** @throws StartupError when this version's migrations have not been run */
export async function requireMigrations(url: string): Promise<void> {
  const source = await connect(url);
  try {
    if (!(await source.showMigrations())) return;
    throw new StartupError('The database is older than this version: run `npm run migrate` first.');
  } finally {
    await source.destroy();
  }
}

async function connect(url: string): Promise<DataSource> {
  // Loaded lazily: it takes a quarter of a second, and `relay` runs no migrations.
  const { DataSource: Source } = await import('typeorm');
  // Without the query timeout: a migration of a large table may take long.
  const source = new Source({
    ...databaseOptions(url, 'migrate'),
    extra: { keepAlive: true },
    migrations: await loadMigrations(),
  });
  return source.initialize();
}
