import { DatabaseClient } from '@relay/platform';
import pg from 'pg';

const CONNECT_TIMEOUT_MS = 5_000;
/** Longer than one page of another operator's replay. */
const DEFAULT_TIMEOUT_MS = 15_000;
/** PostgreSQL's lock_not_available. */
const LOCK_TIMED_OUT = '55P03';

// Until it commits, an inserted row blocks every other transaction that inserts the same key. An advisory lock would
// too, but any user of the database may take one.
const LOCK_SQL = 'INSERT INTO bus.operator_turns (name) VALUES ($1) ON CONFLICT DO NOTHING';

/** A statement that waits for the row waits for the transaction that inserted it. */
const IS_WANTED_SQL = `
  SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'transactionid' AND transactionid = pg_current_xact_id()::xid AND NOT granted
  ) AS wanted`;

/** Lock names that no consumer can have. */
export const UNROUTED = 'unrouted events';
export const TOPOLOGY = 'the topology';
export const registrationOf = (consumer: string): string => `the registration of ${consumer}`;

/** Another operation on the same object is running, from this process or another one. */
export class OperationInProgressError extends Error {
  override readonly name = 'OperationInProgressError';
  readonly code = 'OPERATION_IN_PROGRESS';
  constructor(name: string) {
    super(`Another operation on ${name} is in progress; try again`);
  }
}

/**
 * Serializes operators on one consumer's dead letters across processes: on RabbitMQ, a scan holds the letters
 * unacknowledged, and a second scan would see too few.
 */
export class OperatorLock {
  constructor(
    private readonly databaseUrl: string,
    private readonly timeoutMs = DEFAULT_TIMEOUT_MS,
  ) {}

  /** @throws OperationInProgressError when the lock is not free in time */
  async hold<T>(name: string, work: () => Promise<T>): Promise<T> {
    const lock = await this.acquire(name);
    try {
      return await work();
    } finally {
      await lock.release();
    }
  }

  /** @throws OperationInProgressError when the lock is not free in time */
  async acquire(name: string): Promise<AcquiredLock> {
    const client = new DatabaseClient({
      connectionString: this.databaseUrl,
      application_name: 'b24-relay admin',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    try {
      await client.connect();
      await client.query(`SET lock_timeout = ${this.timeoutMs}`);
      await client.query('SET idle_in_transaction_session_timeout = 0');
      await client.query('BEGIN');
      await client.query(LOCK_SQL, [name]);
      return new AcquiredLock(client);
    } catch (error) {
      await client.end().catch(() => undefined);
      if (error instanceof pg.DatabaseError && error.code === LOCK_TIMED_OUT)
        throw new OperationInProgressError(name);
      throw error;
    }
  }
}

/**
 * If its connection ends, the lock is lost without a trace in the table: two scans may then run at once, each on a part
 * of the letters; every letter is still settled only once.
 */
export class AcquiredLock {
  private answer: Promise<boolean> | undefined;

  constructor(private readonly client: pg.Client) {}

  /** Another operator waits for it. @throws when its connection has ended */
  isWanted(): Promise<boolean> {
    this.answer ??= this.askDatabase().finally(() => {
      this.answer = undefined;
    });
    return this.answer;
  }

  private async askDatabase(): Promise<boolean> {
    const { rows } = await this.client.query<{ wanted: boolean }>(IS_WANTED_SQL);
    return rows[0]?.wanted ?? false;
  }

  async release(): Promise<void> {
    await this.client.end().catch(() => undefined);
  }
}
