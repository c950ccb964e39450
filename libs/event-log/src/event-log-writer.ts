import { trace } from '@opentelemetry/api';
import { carriesMoreThanKey, type PortalEvent } from '@relay/events';
import { counter, databasePool, type Log, printable, waitAtMost } from '@relay/platform';
import type pg from 'pg';

const rowsTotal = counter({
  name: 'relay_event_log_rows_total',
  help: 'Rows of the event log by what became of them: stored, or dropped because the database was slow or away',
  labelNames: ['outcome'],
});

// A series that begins with its first loss has no rate for it.
for (const outcome of ['stored', 'dropped']) rowsTotal.inc({ outcome }, 0);

/** How an event came, if Bitrix24 did not post it. */
export type EventSource = 'offline' | 'reconcile' | 'resend';

/** What a consumer did with an event. `wait`: the portal could not be called, and the event comes back. */
export type OutcomeKind = 'done' | 'retry' | 'wait' | 'dead';

export interface EventOutcome {
  eventId: string;
  consumer: string;
  outcome: OutcomeKind;
  /** Failed attempts before this one. */
  attempts: number;
  /** Why it failed. */
  code?: string | undefined;
  /** The event with which it was handled as one; absent for that event itself. */
  mergedInto?: string | undefined;
}

interface EventLogWriterOptions {
  databaseUrl: string;
  log: Log;
  /** Rows in memory, of both tables. More are dropped, and counted. */
  maxRows?: number;
  /** How long rows wait for others, at most. */
  lingerMs?: number;
}

/** Some five megabytes. Four seconds of a gateway under full load. */
const DEFAULT_MAX_ROWS = 20_000;
/** Of one statement: its JSON, some 200 kB, is written in a millisecond. */
const GROUP_ROWS = 1_000;
const DEFAULT_LINGER_MS = 500;
const PAUSE_AFTER_FAILURE_MS = 2_000;
const TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
const MAX_CODE_LENGTH = 64;

// The commit is asynchronous, so that a group costs the database no flush: after a crash of it the last rows are missing.
const RELAXED = `WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))`;
const TIME_OF = (field: string): string =>
  `timestamptz 'epoch' + (r.${field}::float8 * interval '1 millisecond')`;

const EVENTS_SQL = `
  ${RELAXED}
  INSERT INTO event_log.events (id, member_id, name, entity_type_id, entity, key_only, received_at, source, trace_id)
  SELECT r.i, r.m, r.n, r.t, r.e, r.k, ${TIME_OF('r')}, r.s, r.c
  FROM relaxed, json_to_recordset($1::json) AS r (i uuid, m text, n text, t int, e text, k boolean, r bigint, s text, c text)`;

const OUTCOMES_SQL = `
  ${RELAXED}
  INSERT INTO event_log.outcomes (event_id, consumer, outcome, attempts, code, merged_into, at)
  SELECT r.i, r.n, r.o, r.a, r.c, r.g, ${TIME_OF('d')}
  FROM relaxed, json_to_recordset($1::json) AS r (i uuid, n text, o text, a int, c text, g uuid, d bigint)`;

interface EventRow {
  i: string;
  m: string;
  n: string;
  t: number;
  e: string | null;
  k: boolean;
  r: number;
  s: EventSource | undefined;
  c: string | undefined;
}

interface OutcomeRow {
  i: string;
  n: string;
  o: OutcomeKind;
  a: number;
  c: string | undefined;
  g: string | undefined;
  d: number;
}

/**
 * Writes the event log, off the hot path: `received` and `settled` only append to a bounded buffer, which goes to the
 * database in groups. Nobody waits for it, and its failures affect nothing else: rows that find the buffer full, or whose
 * statement fails, are dropped and counted. A process that is killed loses its buffer.
 */
export class EventLogWriter {
  private events: EventRow[] = [];
  private outcomes: OutcomeRow[] = [];
  private readonly pool: pg.Pool;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> | undefined;
  private isFailing = false;
  private isClosed = false;

  constructor(private readonly options: EventLogWriterOptions) {
    this.pool = databasePool({
      connectionString: options.databaseUrl,
      application_name: 'b24-relay event log',
      max: 1,
      keepAlive: true,
      connectionTimeoutMillis: TIMEOUT_MS,
      query_timeout: TIMEOUT_MS,
      statement_timeout: TIMEOUT_MS,
    });
  }

  /** The event is on the bus, or in the journal. */
  received(event: PortalEvent, source: EventSource | undefined = event.source): void {
    if (!this.hasRoom()) return;
    this.events.push({
      i: event.id,
      m: event.memberId,
      n: event.name,
      t: event.entityTypeId,
      e: event.entity,
      k: event.entity !== null && !carriesMoreThanKey(event.data, event.entityTypeId),
      r: event.receivedAt,
      s: source,
      c: event.traceparent?.slice(3, 35) ?? trace.getActiveSpan()?.spanContext().traceId,
    });
    this.schedule();
  }

  /** A consumer has decided about a delivery. */
  settled({ eventId, consumer, outcome, attempts, code, mergedInto }: EventOutcome): void {
    if (!this.hasRoom()) return;
    this.outcomes.push({
      i: eventId,
      n: consumer,
      o: outcome,
      a: attempts,
      // A portal's own error code is foreign text, which may have half a character or a NUL in it.
      c: code === undefined ? undefined : printable(code.slice(0, MAX_CODE_LENGTH)),
      g: mergedInto,
      d: Date.now(),
    });
    this.schedule();
  }

  /** Writes what is left, for two seconds at most. */
  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    await waitAtMost(this.writeRest(), CLOSE_TIMEOUT_MS);
    this.drop(this.size);
    [this.events, this.outcomes] = [[], []];
    await waitAtMost(
      this.pool.end().catch(() => undefined),
      CLOSE_TIMEOUT_MS,
    );
  }

  private get size(): number {
    return this.events.length + this.outcomes.length;
  }

  private hasRoom(): boolean {
    if (!this.isClosed && this.size < (this.options.maxRows ?? DEFAULT_MAX_ROWS)) return true;
    this.drop(1);
    return false;
  }

  private drop(rows: number): void {
    if (rows > 0) rowsTotal.inc({ outcome: 'dropped' }, rows);
  }

  private schedule(afterMs = this.options.lingerMs ?? DEFAULT_LINGER_MS): void {
    if (this.timer || this.writing || this.isClosed) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.write();
    }, afterMs).unref();
  }

  private async writeRest(): Promise<void> {
    await this.writing;
    while (this.size > 0 && !this.isFailing) await this.write();
  }

  private write(): Promise<void> {
    this.writing ??= this.writeGroups().finally(() => {
      this.writing = undefined;
      if (this.size > 0) this.schedule(this.isFailing ? PAUSE_AFTER_FAILURE_MS : undefined);
    });
    return this.writing;
  }

  /** Never rejects. */
  private async writeGroups(): Promise<void> {
    let client: pg.PoolClient | undefined;
    let failure: unknown;
    try {
      // While no connection can be made, the rows stay.
      client = await this.pool.connect();
      do {
        await this.writeGroup(client, 'event-log-events', EVENTS_SQL, this.events.splice(0, GROUP_ROWS));
        await this.writeGroup(
          client,
          'event-log-outcomes',
          OUTCOMES_SQL,
          this.outcomes.splice(0, GROUP_ROWS),
        );
      } while (this.size >= GROUP_ROWS);
      if (this.isFailing) this.options.log.info({}, 'the event log is written again');
      this.isFailing = false;
    } catch (error) {
      failure = error;
      if (!this.isFailing)
        this.options.log.warn(
          { event: 'event_log.write.failed', err: error },
          'the event log cannot be written; events are delivered nevertheless',
        );
      this.isFailing = true;
    } finally {
      // A statement that timed out may still run there.
      client?.release(failure !== undefined);
    }
  }

  /** A group that fails is not repeated: it may have been stored, and a row of no use must not block the others. */
  private async writeGroup(
    client: pg.PoolClient,
    name: string,
    text: string,
    rows: readonly unknown[],
  ): Promise<void> {
    if (rows.length === 0) return;
    try {
      await client.query({ name, text, values: [JSON.stringify(rows)] });
      rowsTotal.inc({ outcome: 'stored' }, rows.length);
    } catch (error) {
      this.drop(rows.length);
      throw error;
    }
  }
}

interface EventPublisher {
  publish(event: PortalEvent, deadlineMs?: number): Promise<void>;
}

/** The same publisher, whose events are logged once they are stored. Without a log, the publisher itself. */
export function logPublished(
  publisher: EventPublisher,
  eventLog: Pick<EventLogWriter, 'received'> | undefined,
): EventPublisher {
  if (!eventLog) return publisher;
  return {
    publish: async (event, deadlineMs) => {
      await publisher.publish(event, deadlineMs);
      eventLog.received(event);
    },
  };
}
