import { databasePool, waitAtMost } from '@relay/platform';
import { encodeMessage, type PortalEvent } from '@relay/events';
import pg from 'pg';
import type { BusHealth } from '../connection/connection-report.js';
import { ConnectionReport } from '../connection/connection-report.js';
import { explainConnectionError } from '../connection/explain-connection-error.js';
import { BusUnavailableError, type BusOptions } from '../contract/event-bus.js';
import { shardOf } from '../contract/shard.js';

/** A publish is one short statement; more connections would only wait for the disk. */
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

// One row per consumer that subscribes to the event by its base name (0) or by its type; one row also when it names
// both.
const PUBLISH_SQL = `
  WITH targets AS (
    SELECT DISTINCT consumer FROM bus.subscriptions WHERE name = $1 AND entity_type_id IN (0, $2)
  ), routed AS (
    INSERT INTO bus.messages (consumer, shard, content) SELECT consumer, $3, $4::json FROM targets
    RETURNING consumer
  ), unrouted AS (
    INSERT INTO bus.unrouted (content) SELECT $4::json WHERE NOT EXISTS (SELECT FROM targets)
    RETURNING id
  ), trimmed AS (
    DELETE FROM bus.unrouted WHERE id <= (SELECT id FROM unrouted) - $5
  )
  SELECT pg_notify('b24.bus.' || consumer, '') FROM routed`;

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

/** Stores an event for all of its consumers in one statement: all or none of them have it. */
export class PostgresPublisher {
  private readonly pool: pg.Pool;
  private readonly deadlineMs: number;
  private readonly report: ConnectionReport;
  private ready = false;
  /** When (`performance.now()`) to retry after a rejection that the check does not reproduce, such as a full disk. */
  private refusedUntil: number | undefined;
  private probe: NodeJS.Timeout | undefined;
  /**
   * Bytes of unrouted events since the last measurement. Random at the start, so that short-lived processes measure as
   * often as others, and not at the first event, whose publisher needs the connection.
   */
  private unweighed = Math.random() * TRIM_EVERY_BYTES;

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
    const stored = this.pool
      .query({
        name: 'bus-publish',
        text: PUBLISH_SQL,
        values: [name, entityTypeId, shardOf(memberId), content, UNROUTED_MAX_ROWS],
      })
      .catch((cause: unknown) => {
        const isRefused = cause instanceof pg.DatabaseError && !PASSES.test(cause.code ?? '');
        // Usually about one event; but an error that affects the next ones too must not be rediscovered by each of
        // them.
        if (isRefused && explainConnectionError(cause, 'DATABASE_URL').requiresOperator)
          this.isRefused(cause);
        throw new BusUnavailableError(isRefused ? 'BUS_REFUSED' : 'BUS_DOWN', { cause });
      });
    const result = await waitAtMost(stored, deadlineMs);
    if (result) {
      if (this.refusedUntil !== undefined) this.report.up();
      this.refusedUntil = undefined;
      if (result.rowCount === 0) this.weigh(Buffer.byteLength(content));
      return;
    }
    // The caller no longer waits; a late failure is ignored.
    stored.catch(() => undefined);
    throw new BusUnavailableError('BUS_TIMEOUT');
  }

  async close(): Promise<void> {
    clearInterval(this.probe);
    this.report.close();
    await waitAtMost(this.pool.end(), STATEMENT_TIMEOUT_MS);
  }

  /** Counts an unrouted event. Nobody waits for the trim; the next one makes up for a failure. */
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
      this.ready = performance.now() >= (this.refusedUntil ?? 0);
      if (this.refusedUntil === undefined) this.report.up();
    } catch (error) {
      this.isDown(error);
    }
  }

  private isRefused(error: unknown): void {
    this.refusedUntil = performance.now() + REJECTION_PAUSE_MS;
    this.isDown(error);
  }

  private isDown(error: unknown): void {
    this.ready = false;
    this.report.down(error);
  }
}
