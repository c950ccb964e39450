import { createHash, randomBytes } from 'node:crypto';
import pg from 'pg';
// Not by its lib: most specs need no more of it.
import { loadMigrations, type Migrations } from '../../libs/platform/src/database/migrations.js';
import { AppProcess } from './processes.js';
import { sharedNames, TEST_RUN } from './test-run.mjs';

export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

/** `npm test` sets DATABASE_URL to the server it chose; a single spec started by hand uses the local one. */
const serverUrl = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';
/** Any number will do: templates are made one at a time. */
const TEMPLATE_LOCK_ID = 24_000_999;

/**
 * A database of this spec alone. The name holds our process id, so that `npm test` can drop what a killed run left.
 * @param migrations those of a lib or app, such as `libs/bus`
 */
export async function freshDatabase(
  migrations: string | Migrations = [],
  /** Of `CREATE DATABASE`. */
  options = '',
): Promise<TestDatabase> {
  if (options !== '' || Object.keys(migrations).length === 0) return create(options);
  const names =
    typeof migrations === 'string'
      ? migrations
      : Object.values(migrations).map((each) => (typeof each === 'string' ? each : each.name));
  return copyOfTemplate(JSON.stringify(names), (url) => migrate(url, migrations));
}

/** One that `npm run migrate`, as built, has migrated. */
export function migratedDatabase(): Promise<TestDatabase> {
  return copyOfTemplate('npm run migrate', async (url) => {
    const migration = AppProcess.start('migrate', 'libs/platform/src/migrate.js', { DATABASE_URL: url });
    if ((await migration.end()) !== 0) throw new Error(`migrate failed:\n${migration.log()}`);
  });
}

async function create(options: string): Promise<TestDatabase> {
  const name = `relay_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  await onServer(async (server) => {
    await server.query(`CREATE DATABASE ${name} ${options}`);
    // No test ends this server: what would be lost with it need not be on its disk before an answer.
    await server.query(`ALTER DATABASE ${name} SET synchronous_commit = off`);
  });
  return {
    url: urlOf(name),
    drop: () => onServer((server) => server.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
  };
}

/** A run migrates once for each set of migrations; a copy costs a tenth of that. */
async function copyOfTemplate(
  migrations: string,
  migrateIt: (url: string) => Promise<void>,
): Promise<TestDatabase> {
  const hash = createHash('sha256').update(migrations).digest('hex').slice(0, 12);
  const template = `relay_test_${TEST_RUN}_template_${hash}`;
  await onServer(async (server) => {
    const isThere = async (): Promise<boolean> =>
      (await server.query('SELECT FROM pg_database WHERE datname = $1', [template])).rows.length > 0;
    if (await isThere()) return;
    await server.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK_ID]);
    if (await isThere()) return;
    sharedNames('templates').add(template);
    const unfinished = await create('');
    await migrateIt(unfinished.url);
    await server.query(`ALTER DATABASE ${new URL(unfinished.url).pathname.slice(1)} RENAME TO ${template}`);
  });
  return create(`TEMPLATE ${template}`);
}

async function migrate(url: string, migrations: string | Migrations): Promise<void> {
  const { DataSource } = await import('typeorm');
  const classes = typeof migrations === 'string' ? await loadMigrations(migrations) : migrations;
  const source = new DataSource({ type: 'postgres', url, migrations: classes });
  await source.initialize();
  try {
    await source.runMigrations();
  } finally {
    await source.destroy();
  }
}

function urlOf(name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function onServer(work: (server: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
