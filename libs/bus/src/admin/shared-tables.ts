import type pg from 'pg';
import { SHARD_COUNT } from '../contract/shard.js';
import type { ConsumerProcess, TopologyPart } from './bus-admin.js';

/** By the database's clock: a process that has been silent this long is not counted. */
export const STALE_AFTER_SECONDS = 30;

const FRESH_SQL = `
  SELECT replica, host, pid, lanes, waiting, batches, oldest_at AS "oldestAt", is_paused AS "isPaused", newer,
         started_at AS "startedAt", reported_at AS "reportedAt"
  FROM bus.consumer_processes
  WHERE consumer = $1 AND reported_at >= now() - $2 * interval '1 second'
  ORDER BY started_at, replica`;

/** The consumer's processes that have reported lately. */
export async function reportedProcesses(database: pg.Pool, consumer: string): Promise<ConsumerProcess[]> {
  const { rows } = await database.query<ConsumerProcess>(FRESH_SQL, [consumer, STALE_AFTER_SECONDS]);
  return rows;
}

/** Includes consumers whose last report is old: they may have left work behind. */
export async function reportedConsumers(database: pg.Pool): Promise<string[]> {
  const { rows } = await database.query<{ consumer: string }>(
    'SELECT DISTINCT consumer FROM bus.consumer_processes',
  );
  return rows.map(({ consumer }) => consumer);
}

/** The row that every process start compares its shard count with. */
export async function storedShards(database: pg.Pool): Promise<TopologyPart> {
  const { rows } = await database.query<{ shards: number }>('SELECT shards FROM bus.topology');
  const stored = rows[0]?.shards;
  const part = { kind: 'shards', name: `${SHARD_COUNT} shards`, consumer: null } as const;
  if (stored === undefined) return { ...part, state: 'missing', detail: 'no process has started yet' };
  if (stored === SHARD_COUNT) return { ...part, state: 'ok', detail: null };
  return { ...part, state: 'different', detail: `bus.topology says ${stored}` };
}
