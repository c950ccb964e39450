import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Statements } from '../items/mirror-store.js';
import type { Field } from './field.js';

type TypeState = 'mirrored' | 'excluded' | 'deleted';

/** A smart process of a portal, as `mirror.types` stores it. */
export interface MirroredType {
  entityTypeId: number;
  code: string | null;
  title: string;
  state: TypeState;
  fields: Field[];
  viewName: string | null;
  /** The current backfill has stored all items up to this id. */
  backfillAfter: string;
  backfillItems: number;
  /** Start of the current backfill. */
  backfillRun: string | null;
  /** End of the last complete backfill; null without one. */
  backfilledAt: Date | null;
  /** By column, the number of values that do not fit it. */
  castFailures: Record<string, number>;
}

/** A type as the portal describes it now. */
export interface FoundType {
  entityTypeId: number;
  code: string | null;
  title: string;
  isMirrored: boolean;
}

const COLUMNS = `entity_type_id AS "entityTypeId", code, title, state,
  -- An empty object until they were read for the first time.
  CASE jsonb_typeof(fields) WHEN 'array' THEN fields ELSE '[]' END AS fields, view_name AS "viewName",
  backfill_after AS "backfillAfter", backfill_items::int AS "backfillItems", backfill_run AS "backfillRun",
  backfilled_at AS "backfilledAt", misfits AS "castFailures"`;

/** Stores also the checkpoints of backfills, which are written in one transaction with their rows. */
@Injectable()
export class TypeStore {
  constructor(private readonly source: DataSource) {}

  /** Every type that the portal ever had, by id. */
  all(memberId: string): Promise<MirroredType[]> {
    return this.source.query<MirroredType[]>(
      `SELECT ${COLUMNS} FROM mirror.types WHERE member_id = $1 ORDER BY entity_type_id`,
      [memberId],
    );
  }

  /**
   * Stores the types that the portal lists now. A type that was excluded or deleted before has missed changes, so its
   * backfill starts from the beginning.
   */
  async save(memberId: string, found: readonly FoundType[]): Promise<void> {
    await this.source.query(
      `INSERT INTO mirror.types AS old (member_id, entity_type_id, code, title, state)
       SELECT $1, "entityTypeId", code, title, CASE WHEN "isMirrored" THEN 'mirrored' ELSE 'excluded' END
         FROM jsonb_to_recordset($2::jsonb) AS found("entityTypeId" int, code text, title text, "isMirrored" boolean)
        ORDER BY "entityTypeId"
       ON CONFLICT (member_id, entity_type_id) DO UPDATE SET
         code = excluded.code, title = excluded.title, state = excluded.state, deleted_at = NULL,
         backfilled_at = CASE WHEN old.state = 'mirrored' THEN old.backfilled_at END,
         backfill_run = CASE WHEN old.state = 'mirrored' THEN old.backfill_run END`,
      [memberId, JSON.stringify(found)],
    );
  }

  async saveFields(memberId: string, entityTypeId: number, fields: readonly Field[]): Promise<void> {
    await this.source.query(
      `UPDATE mirror.types SET fields = $3::jsonb, fields_read_at = clock_timestamp()
       WHERE member_id = $1 AND entity_type_id = $2`,
      [memberId, entityTypeId, JSON.stringify(fields)],
    );
  }

  /** The portal has deleted the type and its items: the rows stay, as for every deleted item. */
  async markDeleted(memberId: string, entityTypeId: number, upTo: string): Promise<void> {
    await this.source.query(
      `UPDATE mirror.types SET state = 'deleted', deleted_at = coalesce(deleted_at, clock_timestamp())
       WHERE member_id = $1 AND entity_type_id = $2`,
      [memberId, entityTypeId],
    );
    await this.source.query(
      `UPDATE mirror.items SET deleted_at = clock_timestamp(), read_number = $3
       WHERE member_id = $1 AND entity_type_id = $2 AND deleted_at IS NULL AND read_number <= $3`,
      [memberId, entityTypeId, upTo],
    );
  }

  /** Starts from the beginning. @param run orders backfills of one type: checkpoints of an older one are ignored */
  async beginBackfill(memberId: string, entityTypeId: number, run: string): Promise<void> {
    await this.source.query(
      `UPDATE mirror.types SET backfill_run = $3, backfill_after = 0, backfill_items = 0, backfilled_at = NULL
       WHERE member_id = $1 AND entity_type_id = $2`,
      [memberId, entityTypeId, run],
    );
  }

  /** Call in the transaction that stores the rows. A stalled process may repeat an old checkpoint. */
  async checkpoint(
    within: Statements,
    memberId: string,
    { entityTypeId, run, after, last, items }: Checkpoint,
  ): Promise<void> {
    await within.query(
      `UPDATE mirror.types SET backfill_after = $5, backfill_items = backfill_items + $6
       WHERE member_id = $1 AND entity_type_id = $2 AND backfill_run = $3 AND backfill_after = $4`,
      [memberId, entityTypeId, run, after, last, items],
    );
  }

  async endBackfill(memberId: string, entityTypeId: number, run: string): Promise<void> {
    await this.source.query(
      `UPDATE mirror.types SET backfilled_at = clock_timestamp()
       WHERE member_id = $1 AND entity_type_id = $2 AND backfill_run = $3`,
      [memberId, entityTypeId, run],
    );
  }

  /** Drop the views before. */
  async forget(memberId: string): Promise<void> {
    await this.source.query('DELETE FROM mirror.types WHERE member_id = $1', [memberId]);
  }

  async recordReconciled(memberId: string, entityTypeId: number): Promise<void> {
    await this.source.query(
      `UPDATE mirror.types SET reconciled_at = clock_timestamp() WHERE member_id = $1 AND entity_type_id = $2`,
      [memberId, entityTypeId],
    );
  }
}

/** Items after `after`, up to `last`, are stored: their number. */
interface Checkpoint {
  entityTypeId: number;
  run: string;
  after: string;
  last: string;
  items: number;
}
