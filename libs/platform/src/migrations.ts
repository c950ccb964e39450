import { join } from 'node:path';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { databaseOptions } from './database.js';
import type { Log } from './logger.js';
import { StartupError } from './startup-error.js';

/** Any number will do, as long as it is always the same: two runs at once take turns on it. */
const LOCK_ID = 24_000_001;

/** Every lib and app keeps its own migrations; a new consumer's are found without a line here. */
const migrationFiles = join(import.meta.dirname, '../../../{libs,apps}/*/src/**/migrations/*.js');

/** Brings the database to the state that this version's apps expect. Safe to run twice at once. */
export async function runMigrations(url: string, log: Log): Promise<void> {
  const source = await new DataSource(options(url)).initialize();
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
  const source = await new DataSource(options(url)).initialize();
  try {
    if (!(await source.showMigrations())) return;
    throw new StartupError('The database is older than this version: run `npm run migrate` first.');
  } finally {
    await source.destroy();
  }
}

function options(url: string): DataSourceOptions {
  // Without the usual time limit: a migration of a large table takes as long as it takes.
  return { ...databaseOptions(url, 'migrate'), extra: { keepAlive: true }, migrations: [migrationFiles] };
}
