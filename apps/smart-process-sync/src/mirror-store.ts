import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import type { ItemRow } from './item-row.js';

/** A read of the portal that has begun: what it brings may replace only what older reads brought. */
export interface ItemRead {
  memberId: string;
  entityTypeId: number;
  /** Of a sequence: it has no ties and, unlike a clock, never goes back. */
  number: string;
}

/** Within the time that a statement may take. */
const forgottenAtOnce = 10_000;

/** One row, unless the portal was forgotten after the read began; nobody can forget it while it is locked. */
const wantedPortal = `wanted AS MATERIALIZED (
  SELECT FROM mirror.portals WHERE member_id = $1 AND forgotten_to < $3::bigint FOR SHARE)`;

const nextNumber = z.tuple([z.object({ number: z.string() })]);

/**
 * `mirror.items`. Reads overlap, here and in other processes, and may be stored in any order: the one that began last wins,
 * and the last to begin has seen every change whose event led to a read. A row keeps the number of its read for that, and
 * deleted items keep their rows, lest an older read bring them back.
 */
@Injectable()
export class MirrorStore {
  constructor(private readonly source: DataSource) {}

  /** To be called before the portal is asked. */
  async beginRead(memberId: string, entityTypeId: number): Promise<ItemRead> {
    const rows: unknown = await this.source.query(
      `WITH portal AS (INSERT INTO mirror.portals (member_id) VALUES ($1) ON CONFLICT DO NOTHING)
       SELECT nextval('mirror.read_numbers') AS number`,
      [memberId],
    );
    const [{ number }] = nextNumber.parse(rows);
    return { memberId, entityTypeId, number };
  }

  /** @param rows each item once */
  async saveItems(read: ItemRead, rows: readonly ItemRow[]): Promise<void> {
    // In order of their ids, so that two statements at once lock them in the same order.
    await this.source.query(
      `WITH ${wantedPortal}
       INSERT INTO mirror.items AS old
         (member_id, entity_type_id, read_number, item_id, title, stage_id, category_id, assigned_by_id,
          created_time, updated_time, fields)
       SELECT $1, $2, $3, item_id, title, stage_id, category_id, assigned_by_id, created_time, updated_time, fields
         FROM jsonb_to_recordset($4::jsonb) AS item(
           item_id bigint, title text, stage_id text, category_id int, assigned_by_id int,
           created_time timestamptz, updated_time timestamptz, fields jsonb), wanted
        ORDER BY item_id
       ON CONFLICT (member_id, entity_type_id, item_id) DO UPDATE SET
         read_number = excluded.read_number, title = excluded.title, stage_id = excluded.stage_id,
         category_id = excluded.category_id, assigned_by_id = excluded.assigned_by_id,
         created_time = excluded.created_time, updated_time = excluded.updated_time,
         fields = excluded.fields, deleted_at = NULL
       WHERE excluded.read_number >= old.read_number`,
      [read.memberId, read.entityTypeId, read.number, JSON.stringify(rows)],
    );
  }

  /**
   * Items that the read did not find. Also one that the mirror never had gets a row: an older read may still be on its way.
   * @param itemIds each once
   */
  async markDeleted(read: ItemRead, itemIds: readonly string[]): Promise<void> {
    await this.source.query(
      `WITH ${wantedPortal}
       INSERT INTO mirror.items AS old (member_id, entity_type_id, read_number, item_id, fields, deleted_at)
       SELECT $1, $2, $3, item_id, '{}', clock_timestamp() FROM unnest($4::bigint[]) AS item_id, wanted
        ORDER BY item_id
       ON CONFLICT (member_id, entity_type_id, item_id) DO UPDATE SET
         read_number = excluded.read_number, deleted_at = coalesce(old.deleted_at, excluded.deleted_at)
       WHERE excluded.read_number >= old.read_number`,
      [read.memberId, read.entityTypeId, read.number, itemIds],
    );
  }

  /** Comes after every read that has begun until now. */
  async latestRead(): Promise<string> {
    const rows: unknown = await this.source.query(`SELECT nextval('mirror.read_numbers') AS number`);
    return nextNumber.parse(rows)[0].number;
  }

  /**
   * All that reads of the portal up to this one brought, or will bring yet, gone for good. Also harmless where there is
   * nothing.
   */
  async forgetPortal(memberId: string, upTo: string): Promise<void> {
    // Waits for whoever is storing; whoever comes after it stores nothing.
    await this.source.query(
      `INSERT INTO mirror.portals AS old (member_id, forgotten_to) VALUES ($1, $2)
       ON CONFLICT (member_id) DO UPDATE SET forgotten_to = greatest(old.forgotten_to, excluded.forgotten_to)`,
      [memberId, upTo],
    );
    for (let deleted = forgottenAtOnce; deleted > 0;) {
      [, deleted] = await this.source.query<[unknown[], number]>(
        `DELETE FROM mirror.items WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM mirror.items WHERE member_id = $1 AND read_number <= $2 LIMIT $3))`,
        [memberId, upTo, forgottenAtOnce],
      );
    }
  }
}
