import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DataSource, DataSourceOptions, Migration, MigrationInterface } from 'typeorm';
import { z } from 'zod';
import { databaseOptions } from './database.js';
import type { Log } from '../telemetry/logger.js';
import { explain, StartupError } from '../errors/fatal-error.js';

/** An arbitrary constant: concurrent runs are serialized by this advisory lock. */
const LOCK_ID = 24_000_001;

const ROOT = join(import.meta.dirname, '../../../..');
/** `.js` in the build; `.ts` when Jest runs the sources. */
const EXTENSION = extname(import.meta.filename);

export type Migrations = NonNullable<DataSourceOptions['migrations']>;

/** A class of a file in a folder `migrations/`. */
export interface FoundMigration {
  /** Below the root, with `/`. */
  file: string;
  migration: new () => MigrationInterface;
}

/**
 * Every migration of libs and apps, so that a new consumer needs no registration. Production and specs load migrations
 * by this function only.
 * @param room limits them to one lib or app, such as `libs/portals`
 * @throws StartupError for a file that cannot be loaded
 */
export async function loadMigrations(room?: string): Promise<Migrations> {
  return (await findMigrations(room)).map(({ migration }) => migration);
}

async function findMigrations(room?: string): Promise<FoundMigration[]> {
  const folders = room === undefined ? ['libs', 'apps'] : [join(room, 'src')];
  const files = await Promise.all(folders.map((folder) => migrationFiles(join(ROOT, folder))));
  return (await Promise.all(files.flat().map(loadFile))).flat();
}

const migrationClasses = z.array(
  z.custom<FoundMigration['migration']>((value) => typeof value === 'function', 'it exports a class'),
);

/** @throws StartupError */
async function loadFile(path: string): Promise<FoundMigration[]> {
  const file = relative(ROOT, path).replaceAll('\\', '/');
  try {
    const module: object = await import(pathToFileURL(path).href);
    return migrationClasses.parse(Object.values(module)).map((migration) => ({ file, migration }));
  } catch (error) {
    throw new StartupError(`The migration ${file} cannot be loaded: ${reasonOf(error)}`, { cause: error });
  }
}

async function migrationFiles(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true });
  return files
    .filter((file) => basename(dirname(file)) === 'migrations' && extname(file) === EXTENSION)
    .map((file) => join(folder, file));
}

/**
 * Migrates the database to this version. Concurrent runs are safe. Each migration is a transaction.
 * @param found by default every one that there is
 * @throws StartupError for the first that fails: nothing of it is done, and those before it are
 */
export async function runMigrations(url: string, log: Log, found?: readonly FoundMigration[]): Promise<void> {
  const all = found ?? (await findMigrations());
  const source = await connect(url, all);
  const lock = source.createQueryRunner();
  try {
    await lock.query('SELECT pg_advisory_lock($1)', [LOCK_ID]);
    const done = await runEach(source, all);
    log.info(
      { migrations: done.map(({ name }) => name) },
      done.length > 0 ? 'database migrated' : 'database is up to date',
    );
  } finally {
    await lock.release();
    await source.destroy();
  }
}

async function runEach(source: DataSource, all: readonly FoundMigration[]): Promise<Migration[]> {
  try {
    return await source.runMigrations({ transaction: 'each' });
  } catch (error) {
    // Where there is a sentence for an error, that one says more: it concerns the database, not the migration.
    if (explain(error) !== undefined) throw error;
    const rows = doneMigrations.parse(await source.query('SELECT name FROM migrations'));
    const done = new Set(rows.map(({ name }) => name));
    const [failed] = all
      .filter(({ migration }) => !done.has(migration.name))
      .toSorted((a, b) => timeOf(a) - timeOf(b));
    if (!failed) throw error;
    throw new StartupError(
      `The migration ${failed.file} failed, and nothing of it is done: ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

/** By TypeORM, which numbers a migration by the end of the name of its class. */
const doneMigrations = z.array(z.object({ name: z.string() }));

function timeOf({ migration }: FoundMigration): number {
  return Number(migration.name.slice(-13));
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}

/** @throws StartupError when this version's migrations have not been run */
export async function requireMigrations(url: string): Promise<void> {
  const source = await connect(url, await findMigrations());
  try {
    if (!(await source.showMigrations())) return;
    throw new StartupError('The database is older than this version: run `npm run migrate` first.');
  } finally {
    await source.destroy();
  }
}

async function connect(url: string, found: readonly FoundMigration[]): Promise<DataSource> {
  // Loaded lazily: it takes a quarter of a second, and `relay` runs no migrations.
  const { DataSource: Source } = await import('typeorm');
  // Without the query timeout: a migration of a large table may take long.
  const source = new Source({
    ...databaseOptions(url, 'migrate'),
    extra: { keepAlive: true },
    // Else it writes about a failure to the console by itself.
    logger: 'debug',
    migrations: found.map(({ migration }) => migration),
  });
  return source.initialize();
}
