import { encodeMessage, type PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';
import pg from 'pg';
import { waitAtMost } from '../backoff.js';
import { BusUnavailableError } from '../event-bus.js';
import { shardOf } from '../shard.js';

/** A publish is one short statement; more connections would only queue for the disk. */
const poolSize = 4;
/** A statement whose caller has long given up must not keep its connection: the server ends it, or we the connection. */
const statementTimeoutMs = 5_000;
const probeEveryMs = 2_000;
const unroutedMaxRows = 10_000;

/** The channel on which the processes of a consumer hear that there is work. */
export const wakeChannel = (consumer: string): string => `b24.bus.${consumer}`;

// One row for every consumer that wants the event by its base name (0) or by its type, whichever it named, and not two.
const publishSql = `
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

/** Stores an event for all of its consumers in one statement: either all have it or none. */
export class PostgresPublisher {
  readonly #pool: pg.Pool;
  #ready = false;
  #probe: NodeJS.Timeout | undefined;

  constructor(
    url: string,
    private readonly log: Log,
    private readonly deadlineMs: number,
  ) {
    this.#pool = new pg.Pool({
      connectionString: url,
      application_name: 'b24-relay bus publish',
      max: poolSize,
      connectionTimeoutMillis: deadlineMs,
      statement_timeout: statementTimeoutMs,
      query_timeout: 2 * statementTimeoutMs,
      keepAlive: true,
    });
    // An idle connection that ends says so here, and would end the process without a listener.
    this.#pool.on('error', (err) => this.#isDown(err));
  }

  /** Resolves after the first look at the database, whatever it found. */
  async start(): Promise<void> {
    await this.#look();
    this.#probe = setInterval(() => void this.#look(), probeEveryMs).unref();
  }

  isReady(): boolean {
    return this.#ready;
  }

  /** @throws BusUnavailableError */
  async publish(event: PortalEvent, deadlineMs = this.deadlineMs): Promise<void> {
    const { name, entityTypeId, memberId } = event;
    const content = encodeMessage(event).toString('utf8');
    const stored = this.#pool
      .query({
        name: 'bus-publish',
        text: publishSql,
        values: [name, entityTypeId, shardOf(memberId), content, unroutedMaxRows],
      })
      .catch((cause: unknown) => {
        throw new BusUnavailableError(cause instanceof pg.DatabaseError ? 'BUS_REFUSED' : 'BUS_DOWN', {
          cause,
        });
      });
    const result = await waitAtMost(stored, deadlineMs);
    if (result) return;
    // Nobody waits for it any more; its own end is of no interest.
    stored.catch(() => undefined);
    throw new BusUnavailableError('BUS_TIMEOUT');
  }

  async close(): Promise<void> {
    clearInterval(this.#probe);
    await waitAtMost(this.#pool.end(), statementTimeoutMs);
  }

  async #look(): Promise<void> {
    try {
      await this.#pool.query('SELECT FROM bus.subscriptions LIMIT 1');
      if (!this.#ready) this.log.info({ connection: 'publish' }, 'bus connection is up');
      this.#ready = true;
    } catch (error) {
      this.#isDown(error);
    }
  }

  #isDown(error: unknown): void {
    if (this.#probe === undefined || this.#ready) {
      this.log.warn({ connection: 'publish', err: error }, 'bus connection is down, will look again');
    }
    this.#ready = false;
  }
}
