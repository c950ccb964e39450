import type pg from 'pg';
import { STALE_AFTER_SECONDS } from '../../admin/shared-tables.js';
import { NEWER_CODE } from '../../contract/newer-messages.js';
import { shards } from '../../contract/shard.js';
import { claimLeases, leaseIsHeld } from '../shard-leases.js';

export interface ConsumerCounts {
  waiting: number;
  taken: number;
  retrying: number;
  newer: number;
  dead: number;
  oldestAt: Date | null;
  /** Shards whose lease a process holds. */
  shardsServed: number;
}

const COUNT_SQL = `
  SELECT
    count(*) FILTER (WHERE NOT taken AND available_at <= now())::int AS waiting,
    count(*) FILTER (WHERE taken)::int AS taken,
    count(*) FILTER (WHERE NOT taken AND available_at > now())::int AS retrying,
    count(*) FILTER (WHERE NOT taken AND last_code = '${NEWER_CODE}')::int AS newer,
    min(coalesce(first_failed_at, available_at)) AS "oldestAt",
    (SELECT count(*)::int FROM bus.dead_letters WHERE consumer = $1) AS dead,
    (
      SELECT count(*)::int FROM bus.shard_leases AS l WHERE l.consumer = $1 AND ${leaseIsHeld('l')}
    ) AS "shardsServed"
  FROM bus.messages WHERE consumer = $1`;

/** Counts from the tables. */
export async function countsOf(database: Pick<pg.Pool, 'query'>, consumer: string): Promise<ConsumerCounts> {
  const { rows } = await database.query<ConsumerCounts>(COUNT_SQL, [consumer]);
  const [counts] = rows;
  if (!counts) throw new TypeError('A count without GROUP BY answers one row');
  return counts;
}

const KNOWN_SQL = `
  SELECT consumer FROM bus.subscriptions UNION SELECT consumer FROM bus.messages
  UNION SELECT consumer FROM bus.dead_letters UNION SELECT consumer FROM bus.consumer_processes`;

export async function knownConsumers(database: pg.Pool): Promise<string[]> {
  const { rows } = await database.query<{ consumer: string }>(KNOWN_SQL);
  return rows.map(({ consumer }) => consumer);
}

const KNOWS_SQL = `
  SELECT EXISTS (SELECT FROM bus.subscriptions WHERE consumer = $1)
      OR EXISTS (SELECT FROM bus.messages WHERE consumer = $1)
      OR EXISTS (SELECT FROM bus.dead_letters WHERE consumer = $1)
      OR EXISTS (SELECT FROM bus.consumer_processes WHERE consumer = $1) AS known`;

export async function knowsConsumer(database: Pick<pg.Pool, 'query'>, consumer: string): Promise<boolean> {
  const { rows } = await database.query<{ known: boolean }>(KNOWS_SQL, [consumer]);
  return rows[0]?.known ?? false;
}

const LOCK_TIMEOUT_MS = 5_000;

/** The result of a removal: nothing was changed unless `removed`. */
export type Removal =
  { removed: true; dropped: number } | { removed: false; because: 'processes' | 'messages' };

const ALIVE_SQL = `
  SELECT count(*)::int AS alive FROM bus.consumer_processes
  WHERE consumer = $1 AND reported_at >= now() - $2 * interval '1 second'`;

const LEFT_SQL = `
  SELECT ((SELECT count(*) FROM bus.messages WHERE consumer = $1)
        + (SELECT count(*) FROM bus.dead_letters WHERE consumer = $1))::int AS left`;

/** No further event is stored for the consumer. */
export async function unsubscribe(database: Pick<pg.Pool, 'query'>, consumer: string): Promise<void> {
  await database.query('DELETE FROM bus.subscriptions WHERE consumer = $1', [consumer]);
}

/**
 * Deletes all rows of a consumer in one transaction. It takes the leases that a process would serve the shards with,
 * and blocks publishes for some milliseconds: no process can start and no event can arrive between the check and the
 * removal.
 */
export async function removeConsumer(database: pg.Pool, consumer: string, drop: boolean): Promise<Removal> {
  const client = await database.connect();
  try {
    await client.query('BEGIN');
    await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    const removal = await remove(client, consumer, drop);
    await client.query(removal.removed ? 'COMMIT' : 'ROLLBACK');
    client.release();
    return removal;
  } catch (error) {
    client.release(true);
    throw error;
  }
}

async function remove(client: pg.PoolClient, consumer: string, drop: boolean): Promise<Removal> {
  const claimed = await claimLeases(client, consumer, shards);
  if (claimed.length !== shards.length) return { removed: false, because: 'processes' };
  await client.query('LOCK TABLE bus.subscriptions IN ACCESS EXCLUSIVE MODE');
  const { rows: alive } = await client.query<{ alive: number }>(ALIVE_SQL, [consumer, STALE_AFTER_SECONDS]);
  if (alive[0]?.alive !== 0) return { removed: false, because: 'processes' };
  const { rows: left } = await client.query<{ left: number }>(LEFT_SQL, [consumer]);
  const messages = left[0]?.left ?? 0;
  if (messages > 0 && !drop) return { removed: false, because: 'messages' };
  await unsubscribe(client, consumer);
  for (const table of ['messages', 'dead_letters', 'trials', 'consumer_processes', 'shard_leases']) {
    await client.query(`DELETE FROM bus.${table} WHERE consumer = $1`, [consumer]);
  }
  return { removed: true, dropped: messages };
}
