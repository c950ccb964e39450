import { databasePool, waitAtMost } from '@relay/platform';
import { encodeMessage, type PortalEvent } from '@relay/events';
import pg from 'pg';
import type { BusHealth } from '../connection/connection-report.js';
import { ConnectionReport } from '../connection/connection-report.js';
import { explainConnectionError } from '../connection/explain-connection-error.js';
import { BusUnavailableError, type BusOptions } from '../contract/event-bus.js';
import { shardOf } from '../contract/shard.js';
import { type Publish, PublishGroups } from './publish-groups.js';
import { STAMP_CTE } from './fetch-cursors.js';

/** One for the group on its way, one for notifications; the others while a statement is slow. */
const POOL_SIZE = 4;
/**
 * A statement whose caller has given up must not hold its connection: the server ends the statement, or this process
 * the connection.
 */
const STATEMENT_TIMEOUT_MS = 5_000;
const PROBE_EVERY_MS = 2_000;
const REJECTION_PAUSE_MS = 10_000;
const UNROUTED_MAX_ROWS = 10_000;
/** The same limit as on RabbitMQ. */
const UNROUTED_MAX_BYTES = 16 * 1024 * 1024;
/** Measuring reads every row, so it runs only after this process has added this many bytes. */
const TRIM_EVERY_BYTES = 2 * 1024 * 1024;

/** The NOTIFY channel on which the processes of a consumer learn of new work. */
export const wakeChannel = (consumer: string): string => `b24.bus.${consumer}`;

// One row per event and consumer that subscribes to it by its base name (0) or by its type; one row also when it names
// both. The contents are lines of one text, because an array of texts would be quoted here and parsed there.
const PUBLISH_SQL = `
  WITH ${STAMP_CTE}, given AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::int[], $3::smallint[], string_to_array($4, E'\\n'))
      WITH ORDINALITY AS g (name, entity_type_id, shard, content, position)
  ), targets AS MATERIALIZED (
    SELECT DISTINCT position, consumer FROM given AS g
    JOIN bus.subscriptions AS s ON s.name = g.name AND s.entity_type_id IN (0, g.entity_type_id)
  ), routed AS (
    INSERT INTO bus.messages (consumer, shard, content, available_at)
    SELECT consumer, shard, content::json, at FROM targets JOIN given USING (position), stamp
    ORDER BY position, consumer
    RETURNING consumer
  ), unrouted AS (
    INSERT INTO bus.unrouted (content)
    SELECT content::json FROM given WHERE position NOT IN (SELECT position FROM targets) ORDER BY position
    RETURNING id, bytes
  ), trimmed AS (
    DELETE FROM bus.unrouted WHERE id <= (SELECT max(id) FROM unrouted) - $5::int
  )
  SELECT ARRAY(SELECT DISTINCT consumer FROM routed) AS consumers,
         (SELECT coalesce(sum(bytes), 0)::int FROM unrouted) AS "unroutedBytes"`;

// A transaction of its own: one that has inserted would hold PostgreSQL's lock on notifications until its commit is on
// the disk, and publishers would wait for each other.
const NOTIFY_SQL = `SELECT pg_notify('b24.bus.' || consumer, '') FROM unnest($1::text[]) AS consumer`;

const TRIM_SQL = `
  DELETE FROM bus.unrouted WHERE id <= (
    SELECT id FROM (SELECT id, sum(bytes) OVER (ORDER BY id DESC) AS newer FROM bus.unrouted) AS weighed
    WHERE newer > $1 ORDER BY id DESC LIMIT 1
  )`;

/** Executes nothing, but fails on whatever a publish would fail on: a missing table, column or permission. */
const MAY_PUBLISH_SQL = `EXPLAIN ${PUBLISH_SQL}`;

type PublisherOptions = Pick<BusOptions, 'log' | 'publishDeadlineMs'> & { busHealth?: BusHealth };

/**
 * SQLSTATE classes of transient errors: transaction rollback, or cancelled by a timeout or an operator. Not about the
 * event.
 */
const PASSES = /^(?:40|57)/;

const isRejection = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && !PASSES.test(error.code ?? '');

const affectsAll = (error: unknown): boolean =>
  explainConnectionError(error, 'DATABASE_URL').requiresOperator;

/** What a group's statement returns. */
interface Stored {
  consumers: string[];
  unroutedBytes: number;
}

/**
 * Stores events for all of their consumers, those that arrive together in one statement: all consumers of an event have
 * it, or none. A notification follows the commit; should it get lost, the poll of the consumers finds the event.
 */
export class PostgresPublisher {
  private readonly pool: pg.Pool;
  private readonly deadlineMs: number;
  private readonly report: ConnectionReport;
  private ready = false;
  /** When (`performance.now()`) to retry after a rejection that the check does not reproduce, such as a full disk. */
  private rejectedUntil: number | undefined;
  private probe: NodeJS.Timeout | undefined;
  /**
   * Bytes of unrouted events since the last measurement. Random at the start, so that short-lived processes measure as
   * often as others, and not at the first event, whose publisher needs the connection.
   */
  private unweighed = Math.random() * TRIM_EVERY_BYTES;
  private readonly groups = new PublishGroups({
    store: (group) => this.store(group),
    isAboutMember: (error) => isRejection(error) && !affectsAll(error),
  });
  /** Consumers for which events were stored since the last notification. */
  private readonly unnotified = new Set<string>();
  private isNotifying = false;

  constructor(url: string, { log, busHealth, publishDeadlineMs: deadlineMs }: PublisherOptions) {
    this.deadlineMs = deadlineMs;
    this.report = new ConnectionReport({ name: 'publish', address: 'DATABASE_URL', log, busHealth });
    this.pool = databasePool(
      {
        connectionString: url,
        application_name: 'b24-relay bus publish',
        max: POOL_SIZE,
        connectionTimeoutMillis: deadlineMs,
        statement_timeout: STATEMENT_TIMEOUT_MS,
        query_timeout: 2 * STATEMENT_TIMEOUT_MS,
        keepAlive: true,
      },
      (err) => this.isDown(err),
    );
  }

  /** Resolves after the first check of the database, successful or not. */
  async start(): Promise<void> {
    await this.check();
    this.probe = setInterval(() => void this.check(), PROBE_EVERY_MS).unref();
  }

  isReady(): boolean {
    return this.ready;
  }

  /** @throws BusUnavailableError */
  async publish(event: PortalEvent, deadlineMs = this.deadlineMs): Promise<void> {
    const { name, entityTypeId, memberId } = event;
    const content = encodeMessage(event).toString('utf8');
    const { stored, abandon } = this.groups.add({ name, entityTypeId, shard: shardOf(memberId), content });
    const inTime = await waitAtMost(
      stored.then(() => true),
      deadlineMs,
    ).catch((cause: unknown) => {
      throw new BusUnavailableError(isRejection(cause) ? 'BUS_REFUSED' : 'BUS_DOWN', { cause });
    });
    if (inTime) return;
    // The caller no longer waits; a late failure is ignored.
    stored.catch(() => undefined);
    abandon();
    throw new BusUnavailableError('BUS_TIMEOUT');
  }

  async close(): Promise<void> {
    clearInterval(this.probe);
    this.report.close();
    await waitAtMost(this.pool.end(), STATEMENT_TIMEOUT_MS);
  }

  private async store(group: readonly Publish[]): Promise<void> {
    const values = [
      group.map(({ name }) => name),
      group.map(({ entityTypeId }) => entityTypeId),
      group.map(({ shard }) => shard),
      group.map(({ content }) => content).join('\n'),
      UNROUTED_MAX_ROWS,
    ];
    let stored: Stored | undefined;
    try {
      const { rows } = await this.pool.query<Stored>({ name: 'bus-publish', text: PUBLISH_SQL, values });
      [stored] = rows;
    } catch (error) {
      // An error that affects the next ones too must not be rediscovered by each of them.
      if (isRejection(error) && affectsAll(error)) this.isRejected(error);
      throw error;
    }
    if (this.rejectedUntil !== undefined) this.report.up();
    this.rejectedUntil = undefined;
    if (!stored) return;
    this.notify(stored.consumers);
    this.weigh(stored.unroutedBytes);
  }

  /** Nobody waits for it. While one is on its way, the next ones gather. */
  private notify(consumers: readonly string[]): void {
    for (const consumer of consumers) this.unnotified.add(consumer);
    if (!this.isNotifying && this.unnotified.size > 0) void this.notifyGathered();
  }

  private async notifyGathered(): Promise<void> {
    this.isNotifying = true;
    const names = [...this.unnotified];
    this.unnotified.clear();
    try {
      await this.pool.query({ name: 'bus-notify', text: NOTIFY_SQL, values: [names] });
    } catch {
      // The poll of the consumers finds the events.
    } finally {
      this.isNotifying = false;
    }
    this.notify([]);
  }

  /** Counts unrouted events. Nobody waits for the trim; the next one makes up for a failure. */
  private weigh(bytes: number): void {
    this.unweighed += bytes;
    if (this.unweighed < TRIM_EVERY_BYTES) return;
    this.unweighed = 0;
    this.pool.query(TRIM_SQL, [UNROUTED_MAX_BYTES]).catch(() => {
      this.unweighed = Infinity;
    });
  }

  private async check(): Promise<void> {
    try {
      await this.pool.query(MAY_PUBLISH_SQL, [null, null, null, null, null]);
      this.ready = performance.now() >= (this.rejectedUntil ?? 0);
      if (this.rejectedUntil === undefined) this.report.up();
    } catch (error) {
      this.isDown(error);
    }
  }

  private isRejected(error: unknown): void {
    this.rejectedUntil = performance.now() + REJECTION_PAUSE_MS;
    this.isDown(error);
  }

  private isDown(error: unknown): void {
    this.ready = false;
    this.report.down(error);
  }
}
