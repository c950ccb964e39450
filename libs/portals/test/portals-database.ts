import { randomBytes } from 'node:crypto';
import { databaseOptions, type Log } from '@relay/platform';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { PORTAL_ENTITIES } from '../src/database/entities.js';
import { SecretBox } from '../src/encryption/secret-box.js';

/** A migrated database of one spec, and as many pools on it as it takes to play several processes. */
export class PortalsDatabase {
  readonly box = new SecretBox([{ id: 'k1', key: randomBytes(32) }]);
  private readonly sources: DataSource[] = [];

  private constructor(private readonly database: TestDatabase) {}

  static async create(): Promise<PortalsDatabase> {
    return new PortalsDatabase(await freshDatabase('libs/portals'));
  }

  get url(): string {
    return this.database.url;
  }

  async connect(url = this.url): Promise<DataSource> {
    const source = new DataSource(databaseOptions(url, 'spec', PORTAL_ENTITIES));
    this.sources.push(await source.initialize());
    return source;
  }

  async close(): Promise<void> {
    const open = this.sources.filter((source) => source.isInitialized);
    await Promise.all(open.map((source) => source.destroy()));
    await this.database.drop();
  }
}

/** Empties every table, for the next test. */
export async function clear(source: DataSource): Promise<void> {
  await source.query('TRUNCATE portals.portals, portals.pending_installs, portals.subscriptions CASCADE');
}

/** Every row of the schema, as the text that a thief of the database would read. */
export async function dump(source: DataSource): Promise<string> {
  const tables = await source.query<{ table: string }[]>(
    `SELECT format('%I.%I', schemaname, tablename) AS "table" FROM pg_tables WHERE schemaname = 'portals'`,
  );
  const rows = await Promise.all(
    tables.map(({ table }) => source.query<{ row: string }[]>(`SELECT t::text AS row FROM ${table} t`)),
  );
  return rows
    .flat()
    .map(({ row }) => row)
    .join('\n');
}

export interface LogLine {
  level: string;
  fields: object;
  message: string;
}

/** A log that keeps its lines. */
export function keptLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields, message });
    };
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines };
}
