import { Injectable } from '@nestjs/common';
import { counter } from '@relay/platform';
import { DataSource, type EntityManager } from 'typeorm';
import { z } from 'zod';
import type { ItemRow } from './item-row.js';

export const itemsTotal = counter({
  name: 'relay_sync_items_total',
  help: 'Items stored in the mirror, by work: live, backfill, reconcile',
  labelNames: ['work'],
});

for (const work of ['live', 'backfill', 'reconcile']) itemsTotal.inc({ work }, 0);

/** A started read of the portal: its rows may replace only rows of older reads. */
export interface ItemRead {
  memberId: string;
  entityTypeId: number;
  /** From a sequence: it has no ties and, unlike a clock, never goes back. */
  number: string;
  /** Its start, by the database's clock. */
  at: Date;
}

/** The part of a `DataSource` or of a transaction's `EntityManager` that statements need. */
export type Statements = Pick<EntityManager, 'query'>;

/** Measured: five of these take PostgreSQL a quarter less time than 2,500 rows at once, and the text is never large. */
const SAVE_BATCH_SIZE = 500;

/** Fits into the statement timeout. */
const FORGET_BATCH_SIZE = 10_000;

/** One row, unless the portal was forgotten after the read began; the lock prevents that it is forgotten meanwhile. */
const WANTED_PORTAL = `wanted AS MATERIALIZED (
  SELECT FROM mirror.portals WHERE member_id = $1 AND forgotten_to < $3::bigint FOR SHARE)`;

const nextNumber = z.tuple([z.object({ number: z.string(), at: z.date() })]);

/** Columns of `ItemRow` with their types. */
const COLUMNS = {
  title: 'text',
  stage_id: 'text',
  category_id: 'int',
  assigned_by_id: 'int',
  created_by_id: 'int',
  updated_by_id: 'int',
  created_time: 'timestamptz',
  updated_time: 'timestamptz',
  moved_time: 'timestamptz',
  opportunity: 'numeric',
  currency_id: 'text',
  fields: 'jsonb',
} as const satisfies Record<keyof Omit<ItemRow, 'item_id'>, string>;
const names = Object.keys(COLUMNS).join(', ');
const typedNames = Object.entries(COLUMNS).map((column) => column.join(' '));
const replaced = Object.keys(COLUMNS).map((name) => `${name} = excluded.${name}`);

/**
 * `mirror.items`. Reads overlap, here and in other processes, and may be stored in any order: the one that began last wins,
 * since it has seen every change whose event caused a read. Each row has the number of its read for this, and
 * deleted items keep their rows, so that an older read does not restore them.
 */
@Injectable()
export class MirrorStore {
  constructor(private readonly source: DataSource) {}

  /** Call before the portal is asked. */
  async beginRead(memberId: string, entityTypeId: number): Promise<ItemRead> {
    const rows: unknown = await this.source.query(
      `WITH portal AS (INSERT INTO mirror.portals (member_id) VALUES ($1) ON CONFLICT DO NOTHING)
       SELECT nextval('mirror.read_numbers') AS number, clock_timestamp() AS at`,
      [memberId],
    );
    const [read] = nextNumber.parse(rows);
    return { memberId, entityTypeId, ...read };
  }

  /** @param rows each item once */
  async saveItems(read: ItemRead, rows: readonly ItemRow[], within: Statements = this.source): Promise<void> {
    // Ordered by id, so that concurrent transactions lock the rows in the same order.
    const ordered = rows.toSorted(byId);
    for (let from = 0; from < ordered.length; from += SAVE_BATCH_SIZE) {
      await this.saveSome(read, ordered.slice(from, from + SAVE_BATCH_SIZE), within);
    }
  }

  private async saveSome(read: ItemRead, rows: readonly ItemRow[], within: Statements): Promise<void> {
    await within.query(
      `WITH ${WANTED_PORTAL}
       INSERT INTO mirror.items AS old (member_id, entity_type_id, read_number, read_at, item_id, ${names})
       SELECT $1, $2, $3, $5, item_id, ${names}
         FROM jsonb_to_recordset($4::jsonb) AS item(item_id bigint, ${typedNames.join(', ')}), wanted
        ORDER BY item_id
       ON CONFLICT (member_id, entity_type_id, item_id) DO UPDATE SET
         read_number = excluded.read_number, read_at = excluded.read_at, ${replaced.join(', ')},
         deleted_at = NULL, hidden_at = NULL
       WHERE excluded.read_number >= old.read_number`,
      [read.memberId, read.entityTypeId, read.number, JSON.stringify(rows), read.at],
    );
  }

  /**
   * Marks items that the portal has deleted. An item that the mirror never had gets a row too: an older read may still be
   * in progress.
   * @param itemIds without duplicates
   */
  async markDeleted(read: ItemRead, itemIds: readonly string[]): Promise<void> {
    await this.mark(
      read,
      itemIds,
      `deleted_at = coalesce(old.deleted_at, excluded.deleted_at), hidden_at = NULL`,
      'deleted_at',
    );
  }

  /**
   * Marks items that exist, but are hidden from the user of the token.
   * @param itemIds without duplicates
   */
  async markHidden(read: ItemRead, itemIds: readonly string[]): Promise<void> {
    await this.mark(
      read,
      itemIds,
      `hidden_at = coalesce(old.hidden_at, excluded.hidden_at), deleted_at = NULL`,
      'hidden_at',
    );
  }

  /** Their last known fields stay. */
  private async mark(
    read: ItemRead,
    itemIds: readonly string[],
    changes: string,
    column: 'deleted_at' | 'hidden_at',
  ): Promise<void> {
    if (itemIds.length === 0) return;
    await this.source.query(
      `WITH ${WANTED_PORTAL}
       INSERT INTO mirror.items AS old (member_id, entity_type_id, read_number, read_at, item_id, fields, ${column})
       SELECT $1, $2, $3, $5, item_id, '{}', clock_timestamp() FROM unnest($4::bigint[]) AS item_id, wanted
        ORDER BY item_id
       ON CONFLICT (member_id, entity_type_id, item_id) DO UPDATE SET
         read_number = excluded.read_number, read_at = excluded.read_at, ${changes}
       WHERE excluded.read_number >= old.read_number`,
      [read.memberId, read.entityTypeId, read.number, itemIds, read.at],
    );
  }

  /** Later than every read that has begun until now. */
  async latestRead(): Promise<string> {
    const rows: unknown = await this.source.query(
      `SELECT nextval('mirror.read_numbers') AS number, clock_timestamp() AS at`,
    );
    return nextNumber.parse(rows)[0].number;
  }

  /**
   * Deletes all rows of the portal that reads up to this one stored, and rejects later rows of these reads. Harmless if
   * there are none.
   */
  async forgetPortal(memberId: string, upTo: string): Promise<void> {
    // Waits for concurrent transactions; later ones of older reads store nothing.
    await this.source.query(
      `INSERT INTO mirror.portals AS old (member_id, forgotten_to) VALUES ($1, $2)
       ON CONFLICT (member_id) DO UPDATE SET forgotten_to = greatest(old.forgotten_to, excluded.forgotten_to)`,
      [memberId, upTo],
    );
    for (let deleted = FORGET_BATCH_SIZE; deleted > 0;) {
      [, deleted] = await this.source.query<[unknown[], number]>(
        `DELETE FROM mirror.items WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM mirror.items WHERE member_id = $1 AND read_number <= $2 LIMIT $3))`,
        [memberId, upTo, FORGET_BATCH_SIZE],
      );
    }
  }
}

/** In the order of `ORDER BY item_id`: positive numbers, without leading zeros. */
function byId({ item_id: a }: ItemRow, { item_id: b }: ItemRow): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : Number(a > b);
}
