import type { ReportDatabase } from '@relay/platform';
import { z } from 'zod';
import type { OutcomeKind } from './event-log-writer.js';

/** `received`: no consumer has decided about it yet; `merged`: a consumer handled it as one with another. */
export type OutcomeFilter = OutcomeKind | 'received' | 'merged';

export interface EventLogFilter {
  id?: string | undefined;
  memberId?: string | undefined;
  entity?: string | undefined;
  /** Base name in upper case. */
  name?: string | undefined;
  /** Of a suffixed name; 0 or undefined: any. */
  entityTypeId?: number | undefined;
  outcome?: OutcomeFilter | undefined;
}

/** Where a page ended: the next one has what came before. */
export interface EventLogPosition {
  /** Unix time in milliseconds. */
  receivedAt: number;
  id: string;
}

const outcome = z.object({
  consumer: z.string(),
  outcome: z.enum(['done', 'retry', 'wait', 'dead']),
  at: z.string(),
  /** Failed attempts before this one. */
  attempts: z.number(),
  code: z.string().nullable(),
  mergedInto: z.string().nullable(),
});

const event = z.object({
  id: z.string(),
  memberId: z.string(),
  name: z.string(),
  entityTypeId: z.number(),
  entity: z.string().nullable(),
  keyOnly: z.boolean(),
  receivedAt: z.date(),
  source: z.enum(['offline', 'reconcile', 'resend']).nullable(),
  traceId: z.string().nullable(),
  /** The last outcome at each consumer. */
  outcomes: z.array(outcome),
});
export type LoggedEvent = z.output<typeof event>;

const COLUMNS = `e.id, e.member_id AS "memberId", e.name, e.entity_type_id AS "entityTypeId", e.entity,
  e.key_only AS "keyOnly", e.received_at AS "receivedAt", e.source, e.trace_id AS "traceId"`;

const withOutcomes = (events: string): string => `
  SELECT e.*, coalesce(o.outcomes, '[]') AS outcomes
  FROM (${events}) e
  LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('consumer', l.consumer, 'outcome', l.outcome, 'at', to_char(l.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'attempts', l.attempts,
      'code', l.code, 'mergedInto', l.merged_into) ORDER BY l.consumer) AS outcomes
    FROM (
      SELECT DISTINCT ON (consumer) * FROM event_log.outcomes WHERE event_id = e.id ORDER BY consumer, seq DESC
    ) l
  ) o ON true
  ORDER BY e."receivedAt" DESC, e.id DESC`;

const IS_LAST = `NOT EXISTS (
  SELECT FROM event_log.outcomes later WHERE later.event_id = o.event_id AND later.consumer = o.consumer AND later.seq > o.seq)`;

/** As a condition of events `e`, for what many events have. What a consumer has done stays done. */
const COMMON = {
  received: 'NOT EXISTS (SELECT FROM event_log.outcomes o WHERE o.event_id = e.id)',
  // Not EXISTS, of which the planner may make a join of everything with everything.
  done: `(SELECT true FROM event_log.outcomes o WHERE o.event_id = e.id AND o.outcome = 'done' LIMIT 1)`,
};
/** As a condition of outcomes `o`, for what few events have: these are found by an index of outcomes. */
const RARE = {
  merged: 'o.merged_into IS NOT NULL',
  retry: `o.outcome <> 'done' AND o.outcome = 'retry' AND ${IS_LAST}`,
  wait: `o.outcome <> 'done' AND o.outcome = 'wait' AND ${IS_LAST}`,
  dead: `o.outcome <> 'done' AND o.outcome = 'dead' AND ${IS_LAST}`,
};

/** Reads the event log, the last events first. */
export class EventLogReader {
  constructor(private readonly database: ReportDatabase) {}

  /** A page of at most `limit` events before a position. */
  async list(
    { id, memberId, entity, name, entityTypeId, outcome: wanted }: EventLogFilter,
    limit: number,
    before?: EventLogPosition,
  ): Promise<LoggedEvent[]> {
    const values: unknown[] = [];
    const parameter = (value: unknown): string => `$${values.push(value)}`;
    const conditions: string[] = [];
    if (id !== undefined) conditions.push(`e.id = ${parameter(id)}::uuid`);
    if (memberId !== undefined) conditions.push(`e.member_id = ${parameter(memberId)}`);
    if (entity !== undefined) conditions.push(`e.entity = ${parameter(entity)}`);
    if (name !== undefined) conditions.push(`e.name = ${parameter(name)}`);
    if (entityTypeId) conditions.push(`e.entity_type_id = ${parameter(entityTypeId)}`);
    if (before) {
      conditions.push(
        `(e.received_at, e.id) < (timestamptz 'epoch' + ${parameter(before.receivedAt)}::float8 * interval '1 millisecond', ${parameter(before.id)}::uuid)`,
      );
    }
    let from = 'event_log.events e';
    if (wanted === 'received' || wanted === 'done') conditions.push(COMMON[wanted]);
    else if (wanted !== undefined) {
      from = `(SELECT DISTINCT o.event_id FROM event_log.outcomes o WHERE ${RARE[wanted]}) found
        JOIN event_log.events e ON e.id = found.event_id`;
    }
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    const page = `SELECT ${COLUMNS} FROM ${from} ${where} ORDER BY e.received_at DESC, e.id DESC LIMIT ${parameter(limit)}`;
    return z.array(event).parse(await this.database.query(withOutcomes(page), values));
  }

  async find(id: string): Promise<LoggedEvent | undefined> {
    const one = `SELECT ${COLUMNS} FROM event_log.events e WHERE e.id = $1 LIMIT 1`;
    const [found] = z.array(event).parse(await this.database.query(withOutcomes(one), [id]));
    return found;
  }
}
