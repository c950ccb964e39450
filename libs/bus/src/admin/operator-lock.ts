import { DatabaseClient } from '@relay/platform';
import pg from 'pg';
import { OperationInProgressError } from './errors.js';

const CONNECT_TIMEOUT_MS = 5_000;
/** Longer than a round of another operator's. */
const TIMEOUT_MS = 15_000;
/** PostgreSQL's lock_not_available. */
const LOCK_TIMED_OUT = '55P03';

// Not committed, a row keeps everybody else who would insert it waiting until its transaction is over. An advisory lock
// would as well, but any user of the database may take one.
const TURN_SQL = 'INSERT INTO bus.operator_turns (name) VALUES ($1) ON CONFLICT DO NOTHING';

/** What is locked beside a consumer, in a form that no consumer can be named. */
export const UNROUTED = 'unrouted events';
export const TOPOLOGY = 'the topology';

/**
 * Operators take turns on one consumer's dead letters, whichever gateway they ask: on RabbitMQ, who looks at letters
 * holds them meanwhile, and another one would see too few.
 */
export class OperatorLock {
  constructor(
    private readonly databaseUrl: string,
    private readonly waitMs = TIMEOUT_MS,
  ) {}

  /** @throws OperationInProgressError when it is not free in time */
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
      await client.query(TURN_SQL, [consumer]);
      // Ended with its connection, without a trace in the table: then two look at once, each at fewer, and what is settled
      // is settled once all the same.
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
