import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { PortalError } from '../database/errors.js';
import { SecretBox, type SealContext } from './secret-box.js';
import { countChanged, queryRows } from '../database/sql.js';

interface RotationReport {
  /** Rows that are sealed with the first key now and were not before. */
  rewritten: number;
  /** Rows that were sealed with it already. */
  alreadyCurrent: number;
  /** Rows that no key of TOKEN_KEYS opens, or that are damaged; left as they are. */
  unreadable: number;
  /** The key that seals: the first of TOKEN_KEYS. */
  currentKeyId: string;
  /** Sealed values by the id of their key, after all: a key that is not here can be taken out of TOKEN_KEYS. */
  keysInUse: Record<string, number>;
}

interface SealReport extends Pick<RotationReport, 'currentKeyId' | 'keysInUse'> {
  /** Sealed values in all. */
  values: number;
  /** Values that TOKEN_KEYS does not open, by the id of the key that sealed them; damaged ones included. */
  unreadable: Record<string, number>;
}

/** A table with sealed columns: every one there is, so that a key can be replaced everywhere. */
interface SealedTable {
  name: string;
  /** The primary key. */
  key: readonly string[];
  /** The column that each seal of the row is bound to, as `SealContext.memberId`. */
  boundTo: string;
  columns: Readonly<Record<string, SealContext['field']>>;
}

const SEALED_TABLES: readonly SealedTable[] = [
  {
    name: 'portals.credentials',
    key: ['member_id'],
    boundTo: 'member_id',
    columns: {
      access_token: 'access_token',
      refresh_token: 'refresh_token',
      webhook_url: 'webhook_url',
    },
  },
  {
    name: 'portals.pending_installs',
    key: ['member_id', 'proof_hash'],
    boundTo: 'member_id',
    columns: { sealed_claim: 'pending_install' },
  },
  {
    name: 'portals.webhook_pairs',
    key: ['token_hash'],
    boundTo: 'host',
    columns: { sealed_url: 'webhook_url' },
  },
];

type RowResult = 'rewritten' | 'alreadyCurrent' | 'unreadable';

interface Row {
  /** As text, a bytea in hexadecimal: what PostgreSQL takes back as a parameter. */
  key: string[];
  boundTo: string;
  sealed: Record<string, string | null>;
}

const PAGE_SIZE = 200;

/**
 * Re-encrypts all sealed columns with the first key of TOKEN_KEYS, row by row: a row is updated only while it still has
 * the values that were read (compare-and-set), so that a concurrent token refresh is never undone; it is then read
 * again. It can be interrupted and run again, because finished rows are current.
 *
 * Processes started with the old order of the keys continue to seal with the old key: restart them first.
 */
export class KeyRotation {
  constructor(
    private readonly dataSource: DataSource,
    private readonly box: SecretBox,
    private readonly log: Log,
  ) {}

  async run(): Promise<RotationReport> {
    const counts: Record<RowResult, number> = { rewritten: 0, alreadyCurrent: 0, unreadable: 0 };
    for (const table of SEALED_TABLES) {
      for await (const row of this.rows(table)) {
        const result = await this.rotate(table, row);
        if (result) counts[result] += 1;
      }
    }
    const report = { ...counts, currentKeyId: this.box.currentKeyId, keysInUse: await this.keysInUse() };
    this.log.info(report, 'encrypted values were rotated to the first key');
    return report;
  }

  /** Opens every value and changes nothing. */
  async inspect(): Promise<SealReport> {
    const unreadable = new Map<string, number>();
    let values = 0;
    for (const table of SEALED_TABLES) {
      for await (const { boundTo, sealed } of this.rows(table)) {
        for (const [column, field] of Object.entries(table.columns)) {
          const value = sealed[column];
          if (typeof value !== 'string') continue;
          values += 1;
          if (this.opens(value, { memberId: boundTo, field })) continue;
          const id = SecretBox.keyIdOf(value) ?? '';
          unreadable.set(id, (unreadable.get(id) ?? 0) + 1);
        }
      }
    }
    return {
      values,
      unreadable: Object.fromEntries(unreadable),
      currentKeyId: this.box.currentKeyId,
      keysInUse: await this.keysInUse(),
    };
  }

  private opens(sealed: string, context: SealContext): boolean {
    try {
      this.box.open(sealed, context);
      return true;
    } catch (error) {
      if (error instanceof PortalError) return false;
      throw error;
    }
  }

  /** @returns undefined when the row is gone */
  private async rotate(table: SealedTable, first: Row): Promise<RowResult | undefined> {
    for (let row: Row | undefined = first; row; row = await this.reread(table, row)) {
      const changes = this.resealed(table, row);
      if (changes === undefined) return 'unreadable';
      if (Object.keys(changes).length === 0) return 'alreadyCurrent';
      if (await this.replace(table, row, changes)) return 'rewritten';
    }
    return undefined;
  }

  /** Values sealed by other keys, sealed with the first; undefined if one cannot be decrypted. */
  private resealed({ columns }: SealedTable, { boundTo, sealed }: Row): Record<string, string> | undefined {
    const changes: Record<string, string> = {};
    for (const [column, field] of Object.entries(columns)) {
      const value = sealed[column];
      if (typeof value !== 'string' || SecretBox.keyIdOf(value) === this.box.currentKeyId) continue;
      try {
        const context = { memberId: boundTo, field };
        changes[column] = this.box.seal(this.box.open(value, context), context);
      } catch (err) {
        if (!(err instanceof PortalError)) throw err;
        this.log.warn(
          { event: 'encryption.value.unreadable', err, portal: boundTo, field },
          'an encrypted value cannot be decrypted and stays as it is',
        );
        return undefined;
      }
    }
    return changes;
  }

  private async replace(table: SealedTable, row: Row, changes: Record<string, string>): Promise<boolean> {
    const columns = Object.keys(changes);
    const set = columns.map((column, at) => `${column} = $${at + 1}`);
    const still = columns.map((column, at) => `${column} = $${columns.length + at + 1}`);
    const replaced = await countChanged(
      this.dataSource,
      `UPDATE ${table.name} SET ${set.join(', ')}
       WHERE ${[...still, ...isRow(table, columns.length * 2)].join(' AND ')}`,
      [...Object.values(changes), ...columns.map((column) => row.sealed[column]), ...row.key],
    );
    return replaced > 0;
  }

  private async reread(table: SealedTable, { key }: Row): Promise<Row | undefined> {
    const [row] = await queryRows<Row>(
      this.dataSource,
      `${select(table)} WHERE ${isRow(table, 0).join(' AND ')}`,
      key,
    );
    return row;
  }

  /** In the order of the primary key (keyset scan); rows inserted behind it are sealed with the first key already. */
  private async *rows(table: SealedTable): AsyncGenerator<Row> {
    const key = table.key.join(', ');
    let last: string[] | undefined;
    for (;;) {
      const after = last ? `WHERE (${key}) > (${table.key.map((_, at) => `$${at + 2}`).join(', ')})` : '';
      const rows: Row[] = await queryRows<Row>(
        this.dataSource,
        `${select(table)} ${after} ORDER BY ${key} LIMIT $1`,
        [PAGE_SIZE, ...(last ?? [])],
      );
      yield* rows;
      last = rows.at(-1)?.key;
      if (rows.length < PAGE_SIZE) return;
    }
  }

  private async keysInUse(): Promise<Record<string, number>> {
    const values = SEALED_TABLES.flatMap(({ name, columns }) =>
      Object.keys(columns).map(
        (column) => `SELECT split_part(${column}, ':', 2) AS id FROM ${name} WHERE ${column} IS NOT NULL`,
      ),
    );
    const rows = await queryRows<{ id: string; count: number }>(
      this.dataSource,
      `SELECT id, count(*)::int AS count FROM (${values.join(' UNION ALL ')}) used GROUP BY id ORDER BY id`,
    );
    return Object.fromEntries(rows.map(({ id, count }) => [id, count]));
  }
}

function select({ name, key, boundTo, columns }: SealedTable): string {
  const sealed = Object.keys(columns).map((column) => `'${column}', ${column}`);
  return `SELECT json_build_array(${key.join(', ')}) AS key, ${boundTo} AS "boundTo", json_build_object(${sealed.join(', ')}) AS sealed FROM ${name}`;
}

/** Conditions on the primary key; `parametersBefore` precede its parameters. */
function isRow({ key }: SealedTable, parametersBefore: number): string[] {
  return key.map((column, at) => `${column} = $${parametersBefore + at + 1}`);
}
