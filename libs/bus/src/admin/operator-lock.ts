import { DatabaseClient } from '@relay/platform';
import pg from 'pg';
import { OperationInProgressError } from './errors.js';

const CONNECT_TIMEOUT_MS = 5_000;
/** Longer than one round of another operator. */
const TIMEOUT_MS = 15_000;
/** PostgreSQL's lock_not_available. */
const LOCK_TIMED_OUT = '55P03';

// Until it commits, an inserted row blocks every other transaction that inserts the same key. An advisory lock would
// too, but any user of the database may take one.
const LOCK_SQL = 'INSERT INTO bus.operator_turns (name) VALUES ($1) ON CONFLICT DO NOTHING';

/** A lock name that no consumer can have. */
export const UNROUTED = 'unrouted events';
export const TOPOLOGY = 'the topology';

/**
 * Serializes operators on one consumer's dead letters across gateways: on RabbitMQ, a scan holds the letters
 * unacknowledged, and a second scan would see too few.
 */
export class OperatorLock {
  constructor(
    private readonly databaseUrl: string,
    private readonly waitMs = TIMEOUT_MS,
  ) {}

  /** @throws OperationInProgressError when the lock is not free in time */
  async hold<T>(consumer: string, work: () => Promise<T>): Promise<T> {
    const client = new DatabaseClient({
      connectionString: this.databaseUrl,
      application_name: 'b24-relay care',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    await client.connect();
    try {
      await client.query(`SET lock_timeout = ${this.waitMs}`);
      await client.query('SET idle_in_transaction_session_timeout = 0');
      await client.query('BEGIN');
      await client.query(LOCK_SQL, [consumer]);
      // If its connection ends, the lock is lost without a trace in the table: two scans may then run at once, each on
      // a part of the letters; every letter is still settled only once.
      return await work();
    } catch (error) {
      if (error instanceof pg.DatabaseError && error.code === LOCK_TIMED_OUT)
        throw new OperationInProgressError(consumer);
      throw error;
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
