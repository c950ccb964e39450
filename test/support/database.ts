import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { DataSource } from 'typeorm';
// Not by its lib: most specs need no more of it.
import { loadMigrations, type Migrations } from '../../libs/platform/src/migrations.js';

export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

/** `npm test` sets DATABASE_URL to the server it chose; a single spec started by hand uses the local one. */
const serverUrl = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';

/**
 * A database of this spec alone. The name holds our process id, so that `npm test` can drop what a killed run left.
 * @param migrations those of a lib or app, such as `libs/bus`
 */
export async function freshDatabase(
  migrations: string | Migrations = [],
  /** Of `CREATE DATABASE`. */
  options = '',
): Promise<TestDatabase> {
  const name = `relay_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  await onServer(`CREATE DATABASE ${name} ${options}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const database = { url: url.href, drop: () => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
  if (Object.keys(migrations).length > 0) await migrate(database.url, migrations);
  return database;
}

async function migrate(url: string, migrations: string | Migrations): Promise<void> {
  const classes = typeof migrations === 'string' ? await loadMigrations(migrations) : migrations;
  const source = new DataSource({ type: 'postgres', url, migrations: classes });
  await source.initialize();
  try {
    await source.runMigrations();
  } finally {
    await source.destroy();
  }
}

async function onServer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
