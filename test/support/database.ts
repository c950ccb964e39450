import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { DataSource, type DataSourceOptions } from 'typeorm';

export type MigrationClasses = NonNullable<DataSourceOptions['migrations']>;

export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

/** `npm test` sets DATABASE_URL to the server it chose; a single spec started by hand uses the local one. */
const serverUrl = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';

/** A database of this spec alone. The name holds our process id, so that `npm test` can drop what a killed run left. */
export async function freshDatabase(
  migrations: MigrationClasses = [],
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

async function migrate(url: string, migrations: MigrationClasses): Promise<void> {
  const source = new DataSource({ type: 'postgres', url, migrations });
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
