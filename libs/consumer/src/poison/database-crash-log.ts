import { databasePool, type Log } from '@relay/platform';
import type pg from 'pg';
import type { CrashLog } from './poison-detector.js';

const BEGIN_SQL = `
  INSERT INTO bus.trials AS t (consumer, member_id, unfinished) VALUES ($1, $2, 1)
  ON CONFLICT (consumer, member_id) DO UPDATE SET unfinished = t.unfinished + 1, began_at = clock_timestamp()
  RETURNING unfinished - 1 AS before`;

// The right-hand sides see the row before the update.
const SOLO_SQL = `
  UPDATE bus.trials SET starts = CASE WHEN entity = $3 THEN starts + 1 ELSE 1 END, entity = $3
  WHERE consumer = $1 AND member_id = $2
  RETURNING starts - 1 AS before`;

const END_SQL = `
  UPDATE bus.trials SET unfinished = greatest(unfinished - 1, 0), entity = NULL, starts = 0
  WHERE consumer = $1 AND member_id = $2`;

const DONE_SQL = 'DELETE FROM bus.trials WHERE consumer = $1 AND member_id = $2';

/** Used only before and after batches with redelivered messages. */
const POOL_SIZE = 2;
const TIMEOUT_MS = 5_000;

/**
 * The crash log of one consumer, in table `bus.trials`: the next process that serves the portal reads what the last
 * one began.
 */
export class DatabaseCrashLog implements CrashLog {
  private readonly pool: pg.Pool;

  constructor(
    databaseUrl: string,
    private readonly consumer: string,
    log: Log,
  ) {
    this.pool = databasePool(
      {
        connectionString: databaseUrl,
        application_name: `b24-relay crash log ${consumer}`,
        max: POOL_SIZE,
        connectionTimeoutMillis: TIMEOUT_MS,
        query_timeout: TIMEOUT_MS,
      },
      (err) =>
        log.warn(
          { event: 'consumer.crash_log.connection_ended', err },
          'a connection of the crash log ended',
        ),
    );
  }

  begin(memberId: string): Promise<number> {
    return this.before(BEGIN_SQL, [memberId]);
  }

  beginSolo(memberId: string, entity: string): Promise<number> {
    return this.before(SOLO_SQL, [memberId, entity]);
  }

  async end(memberId: string, done: boolean): Promise<void> {
    await this.pool.query(done ? DONE_SQL : END_SQL, [this.consumer, memberId]);
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async before(sql: string, parameters: readonly string[]): Promise<number> {
    const { rows } = await this.pool.query<{ before: number }>(sql, [this.consumer, ...parameters]);
    return rows[0]?.before ?? 0;
  }
}
