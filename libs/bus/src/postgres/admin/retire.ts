import type pg from 'pg';
import { STALE_AFTER_SECONDS } from '../../admin/reported-processes.js';
import { shards } from '../../contract/shard.js';
import { claimLeases } from '../shard-leases.js';

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
