import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { inTransaction } from '@relay/portals';
import { DataSource, type EntityManager } from 'typeorm';
import type { Field } from '../smart-process-types/field.js';
import { columnsOf } from './columns.js';
import {
  viewNames,
  orderColumns,
  commentOn,
  createView,
  dropView,
  type ExistingColumn,
  setBarrier,
} from './view-sql.js';

/** Lock timeout: the change waits for readers of the view, and later readers wait behind it. */
const LOCK_TIMEOUT_MS = 500;

export interface ViewedType {
  memberId: string;
  domain: string;
  entityTypeId: number;
  code: string | null;
  title: string;
  fields: readonly Field[];
}

/** The result for a type's view. */
type ViewOutcome =
  | { result: 'created' | 'replaced' | 'unchanged'; name: string }
  /** Unchanged: a reader kept it locked, or another view depends on it. */
  | { result: 'failed'; error: unknown };

interface ExistingView {
  name: string | null;
  columns: ExistingColumn[];
  hash: string | null;
}

/** The typed views, generated from the portal's fields, each in one transaction. */
@Injectable()
export class ViewStore {
  constructor(private readonly source: DataSource) {}

  /** Creates the type's view, or replaces it if its fields have changed. `view_error` says why this failed. */
  async refresh(type: ViewedType): Promise<ViewOutcome> {
    try {
      return await inTransaction(this.source, (manager) => this.createOrReplace(manager, type));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await this.source.query(
        `UPDATE mirror.types SET view_error = $3 WHERE member_id = $1 AND entity_type_id = $2`,
        [type.memberId, type.entityTypeId, message],
      );
      return { result: 'failed', error };
    }
  }

  /** Drops the view of a type that is not mirrored any more: outdated data must not look current. */
  async remove(memberId: string, entityTypeId: number): Promise<void> {
    await inTransaction(this.source, async (manager) => {
      await this.lockExclusively(manager);
      const { name } = await readExistingView(manager, memberId, entityTypeId);
      if (name === null) return;
      await manager.query(dropView(name));
      await this.recordView(manager, { memberId, entityTypeId }, null, [], null);
    });
  }

  /** Some views of an older version without a barrier; not always the same ones first. */
  async unguarded(limit: number): Promise<string[]> {
    const rows = await this.source.query<{ name: string }[]>(
      `SELECT view_name AS name FROM mirror.types
         JOIN pg_class ON oid = to_regclass('mirror.' || quote_ident(view_name))
        WHERE relkind = 'v' AND NOT coalesce('security_barrier=true' = ANY (reloptions), false)
        ORDER BY random() LIMIT $1`,
      [limit],
    );
    return rows.map(({ name }) => name);
  }

  /** @throws the database error, for example if a reader locks the view for long */
  async guard(name: string): Promise<void> {
    await inTransaction(this.source, async (manager) => {
      await this.lockExclusively(manager);
      await manager.query(setBarrier(name));
    });
  }

  private async createOrReplace(manager: EntityManager, type: ViewedType): Promise<ViewOutcome> {
    await this.lockExclusively(manager);
    const existing = await readExistingView(manager, type.memberId, type.entityTypeId);
    const name = existing.name ?? (await this.freeName(manager, type));
    const view = { ...type, name };
    const { columns, isReplaceable } = orderColumns(columnsOf(type.fields), existing.columns);
    const statements = [createView(view, columns), commentOn(view, columns)];
    const hash = createHash('sha256').update(statements.join(';')).digest('hex');
    if (hash === existing.hash) return { result: 'unchanged', name };
    // In one transaction, so that the view is never missing.
    if (existing.name !== null && !isReplaceable) await manager.query(dropView(name));
    for (const statement of statements) await manager.query(statement);
    await this.recordView(manager, type, name, columns, hash);
    return { result: existing.name === null ? 'created' : 'replaced', name };
  }

  /** One at a time, so that no two take one name; and never for long. */
  private async lockExclusively(manager: EntityManager): Promise<void> {
    await manager.query(`SELECT pg_advisory_xact_lock(hashtext('mirror.views'))`);
    await manager.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
  }

  private async freeName(manager: EntityManager, type: ViewedType): Promise<string> {
    const { preferred, numbered, own } = viewNames(type);
    const taken = await manager.query<{ name: string; isOfPortal: boolean }[]>(
      `SELECT relname AS name, EXISTS (
           SELECT FROM mirror.types WHERE member_id = $2 AND view_name = relname) AS "isOfPortal"
         FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname = 'mirror' AND relname = ANY ($1)`,
      [[preferred, numbered, own], type.memberId],
    );
    const holders = new Map(taken.map(({ name, isOfPortal }) => [name, isOfPortal]));
    if (!holders.has(preferred)) return preferred;
    if (holders.get(preferred) === true && !holders.has(numbered)) return numbered;
    if (!holders.has(own)) return own;
    throw new Error(`no name is free for the view: ${own} is taken too`);
  }

  private async recordView(
    manager: EntityManager,
    { memberId, entityTypeId }: Pick<ViewedType, 'memberId' | 'entityTypeId'>,
    name: string | null,
    columns: readonly ExistingColumn[],
    hash: string | null,
  ): Promise<void> {
    await manager.query(
      `UPDATE mirror.types SET view_name = $3, view_columns = $4::jsonb, view_hash = $5, view_error = NULL
       WHERE member_id = $1 AND entity_type_id = $2`,
      [
        memberId,
        entityTypeId,
        name,
        JSON.stringify(columns.map(({ name: column, type }) => ({ name: column, type }))),
        hash,
      ],
    );
  }
}

/** Reads the database: a view that somebody has dropped by hand is created again. */
async function readExistingView(
  manager: EntityManager,
  memberId: string,
  entityTypeId: number,
): Promise<ExistingView> {
  const [existing] = await manager.query<ExistingView[]>(
    `SELECT view_name AS name, view_columns AS columns, view_hash AS hash FROM mirror.types
     WHERE member_id = $1 AND entity_type_id = $2 AND to_regclass('mirror.' || quote_ident(view_name)) IS NOT NULL`,
    [memberId, entityTypeId],
  );
  return existing ?? { name: null, columns: [], hash: null };
}
