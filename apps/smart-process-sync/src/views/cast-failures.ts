import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { JobProgress, JobRun } from '@relay/jobs';
import type { Log } from '@relay/platform';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import type { Field } from '../smart-process-types/field.js';
import { TypeStore } from '../smart-process-types/type-store.js';
import { asLiteral, type Column, columnsOf, type FieldCheck } from './columns.js';

interface CountedType {
  memberId: string;
  entityTypeId: number;
  fields: readonly Field[];
}

const castFailureRows = z.array(z.object({ column: z.string(), count: z.number() }));
const lastRow = z.tuple([z.object({ last: z.string().nullable() })]);

/** Counted by one statement, in a second or two. A query may take a minute, and a type may have millions of items. */
const COUNT_BATCH_SIZE = 5_000;

/**
 * Counts the values that do not fit the typed views and are null there. A separate job, after a backfill or a
 * reconciliation: it reads every value, which takes longer than to store it.
 */
@Injectable()
export class CastFailures {
  constructor(
    private readonly source: DataSource,
    private readonly types: TypeStore,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** A failed count, of millions of items say, does not affect the mirror. */
  async count({ job: { memberId }, signal }: JobRun): Promise<JobProgress> {
    for (const type of await this.types.all(memberId)) {
      if (type.state !== 'mirrored') continue;
      signal.throwIfAborted();
      const { entityTypeId } = type;
      try {
        const counts = await this.countOf({ ...type, memberId }, { signal });
        if (Object.keys(counts).length === 0) continue;
        this.log.warn(
          { event: 'sync.values.cast_failed', memberId, entityTypeId, counts },
          'values do not fit the columns of the view and are null there',
        );
      } catch (err) {
        signal.throwIfAborted();
        this.log.warn(
          { event: 'sync.values.count_failed', memberId, entityTypeId, err },
          'the values that do not fit the view were not counted',
        );
      }
    }
    return {};
  }

  /** Counts, by column, the values that do not fit, and stores the counts. It reads every item of the type. */
  async countOf(
    { memberId, entityTypeId, fields }: CountedType,
    { signal, batchSize = COUNT_BATCH_SIZE }: { signal?: AbortSignal; batchSize?: number } = {},
  ): Promise<Record<string, number>> {
    const statement = countStatement(columnsOf(fields));
    if (statement === undefined) return {};
    const counts = new Map<string, number>();
    for (let after = '0'; ;) {
      signal?.throwIfAborted();
      const last = await this.lastOf(memberId, entityTypeId, after, batchSize);
      if (last === null) break;
      const rows: unknown = await this.source.query(statement, [memberId, entityTypeId, after, last]);
      for (const { column, count } of castFailureRows.parse(rows)) {
        counts.set(column, (counts.get(column) ?? 0) + count);
      }
      after = last;
    }
    const counted = Object.fromEntries(counts);
    await this.source.query(
      `UPDATE mirror.types SET misfits = $3::jsonb WHERE member_id = $1 AND entity_type_id = $2`,
      [memberId, entityTypeId, JSON.stringify(counted)],
    );
    return counted;
  }

  /** The id of the last of so many items after an id; null without any. */
  private async lastOf(
    memberId: string,
    entityTypeId: number,
    after: string,
    items: number,
  ): Promise<string | null> {
    const rows: unknown = await this.source.query(
      `SELECT max(item_id)::text AS last FROM (
         SELECT item_id FROM mirror.items WHERE member_id = $1 AND entity_type_id = $2 AND item_id > $3
          ORDER BY item_id LIMIT $4) AS next_items`,
      [memberId, entityTypeId, after, items],
    );
    return lastRow.parse(rows)[0].last;
  }
}

/**
 * By column, the number of current items with an id above $3, up to $4, whose value does not fit. Each item is decompressed
 * once, not once per field: PostgreSQL stores large ones compressed.
 */
function countStatement(columns: readonly Column[]): string | undefined {
  const checks = columns.flatMap(({ name, check }) => (check ? [{ name, check }] : []));
  if (checks.length === 0) return undefined;
  const tests = [...new Set(checks.map(({ check }) => buildCastFailureTest(check, 'f.value')))];
  const fields = checks.map(
    ({ name, check }) =>
      `(${asLiteral(check.field)}, ${asLiteral(name)}, ${tests.indexOf(buildCastFailureTest(check, 'f.value'))})`,
  );
  return `SELECT c.name AS column, count(*)::int AS count
    FROM mirror.items AS i CROSS JOIN LATERAL jsonb_each(i.fields) AS f(key, value)
    JOIN (VALUES ${fields.join(', ')}) AS c(field, name, test) ON c.field = f.key
   WHERE i.member_id = $1 AND i.entity_type_id = $2 AND i.item_id > $3 AND i.item_id <= $4 AND i.deleted_at IS NULL AND i.hidden_at IS NULL
     AND CASE c.test ${tests.map((test, number) => `WHEN ${number} THEN ${test}`).join('\n       ')} END
   GROUP BY c.name`;
}

/** SQL: this value of the field does not fit, so that the column, or an element of its array, is null. */
function buildCastFailureTest({ cast, isMultiple }: FieldCheck, value: string): string {
  const isFailure = (one: string): string => `(NOT mirror.is_empty(${one}) AND ${cast(one)} IS NULL)`;
  if (!isMultiple) return isFailure(value);
  return `(mirror.to_list(${value}) IS NULL OR EXISTS (
    SELECT FROM jsonb_array_elements(mirror.to_list(${value})) AS e WHERE ${isFailure('e')}))`;
}
