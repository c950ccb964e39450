import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { DatabaseClient } from './database.js';
import { formatFatalError } from '../errors/fatal-error.js';
import { silentLog } from '../telemetry/logger.js';
import { type FoundMigration, loadMigrations, runMigrations } from './migrations.js';

const root = join(import.meta.dirname, '../../../..');

describe('the migrations', () => {
  it('are those of every lib and app, one class per file', async () => {
    const all = await loadMigrations();
    const files = ['libs', 'apps'].flatMap((area) =>
      readdirSync(join(root, area), { recursive: true, encoding: 'utf8' }).filter((file) =>
        /^[^/]+\/src\/(.+\/)?migrations\/[^/]+\.ts$/.test(file),
      ),
    );
    expect(files).not.toEqual([]);
    expect(all).toHaveLength(files.length);
  });

  it('of one lib are only its own', async () => {
    const files = readdirSync(join(root, 'libs/portals/src/migrations'));
    await expect(loadMigrations('libs/portals')).resolves.toHaveLength(files.length);
  });
});

function fileOf(name: string): string {
  return `apps/notifier/src/migrations/${name}.ts`;
}

describe('a migration that fails', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await freshDatabase();
  });
  afterAll(() => database.drop());

  const first = {
    file: fileOf('first'),
    migration: making('CreateFirst1766400000001', 'CREATE TABLE first ()'),
  };
  const broken = 'CREATE TABLE half (); CREATE TABL notifier.two ()';
  const second = { file: fileOf('second'), migration: making('CreateSecond1766400000002', broken) };
  const third = {
    file: fileOf('third'),
    migration: making('CreateThird1766400000003', 'CREATE TABLE third ()'),
  };
  // Not in their order, as a folder lists them.
  const all = [third, first, second];

  async function tables(): Promise<unknown[]> {
    const client = new DatabaseClient({ connectionString: database.url });
    await client.connect();
    try {
      const { rows } = await client.query(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations' ORDER BY 1",
      );
      return rows.map(({ tablename }) => tablename);
    } finally {
      await client.end();
    }
  }

  it('is named in one sentence, and leaves nothing half done', async () => {
    const error = await runMigrations(database.url, silentLog, all).catch((reason: unknown) => reason);
    expect(formatFatalError(error)).toBe(
      'The migration apps/notifier/src/migrations/second.ts failed, and nothing of it is done: syntax error at or near "TABL"',
    );
    expect(await tables()).toEqual(['first']);
  });

  it('runs when it is mended, with those after it', async () => {
    const mended = { ...second, migration: making('CreateSecond1766400000002', 'CREATE TABLE second ()') };
    await runMigrations(database.url, silentLog, [third, first, mended]);
    expect(await tables()).toEqual(['first', 'second', 'third']);
  });
});

function making(name: string, sql: string): FoundMigration['migration'] {
  const migration = class implements MigrationInterface {
    async up(runner: QueryRunner): Promise<void> {
      await runner.query(sql);
    }

    async down(): Promise<void> {}
  };
  Object.defineProperty(migration, 'name', { value: name });
  return migration;
}
