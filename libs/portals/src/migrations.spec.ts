import { loadMigrations } from '@relay/platform';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { PORTAL_ENTITIES } from './database/entities.js';

describe('the migrations of portals', () => {
  let database: TestDatabase;
  let source: DataSource;

  beforeAll(async () => {
    database = await freshDatabase();
    const migrations = await loadMigrations('libs/portals');
    source = new DataSource({
      type: 'postgres',
      url: database.url,
      entities: PORTAL_ENTITIES,
      migrations,
      installExtensions: false,
    });
    await source.initialize();
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  async function columns(): Promise<string[]> {
    const rows = await source.query<{ name: string }[]>(
      `SELECT format('%s.%s %s%s', table_name, column_name, udt_name, CASE is_nullable WHEN 'YES' THEN ' null' END) AS name
       FROM information_schema.columns WHERE table_schema = 'portals' ORDER BY 1`,
    );
    return rows.map(({ name }) => name);
  }

  it('make exactly the columns that the entities name, go away, and come again', async () => {
    await source.runMigrations();
    const made = await columns();
    const named = source.entityMetadatas.flatMap(({ tableName, columns: each }) =>
      each.map((column) => {
        const type = `${column.isArray ? '_' : ''}${source.driver.normalizeType(column).replace('timestamp with time zone', 'timestamptz').replace('integer', 'int4').replace('bigint', 'int8').replace('double precision', 'float8').replace('boolean', 'bool')}`;
        return `${tableName}.${column.databaseName} ${type}${column.isNullable ? ' null' : ''}`;
      }),
    );
    expect(made).toEqual(named.toSorted());

    for (const _ of source.migrations) await source.undoLastMigration();
    await expect(columns()).resolves.toEqual([]);
    await source.runMigrations();
    await expect(columns()).resolves.toEqual(made);
  });
});
