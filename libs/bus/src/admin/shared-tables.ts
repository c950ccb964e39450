import { DatabaseClient, StartupError } from '@relay/platform';
import type pg from 'pg';
import { SHARD_COUNT } from '../contract/shard.js';
import type { ConsumerProcess, TopologyPart } from './bus-admin.js';

/** By the database's clock: a process that has been silent this long is not counted. */
export const STALE_AFTER_SECONDS = 30;

const FRESH_SQL = `
  SELECT consumer, replica, host, pid, lanes, waiting, batches, oldest_at AS "oldestAt", is_paused AS "isPaused", newer,
         deferred, done::float8 AS done, largest, started_at AS "startedAt", reported_at AS "reportedAt"
  FROM bus.consumer_processes
  WHERE consumer = ANY ($1::text[]) AND reported_at >= now() - $2 * interval '1 second'
  ORDER BY started_at, replica`;

/** The processes of these consumers that have reported lately, by consumer. */
export async function reportedProcesses(
  database: pg.Pool,
  consumers: readonly string[],
): Promise<Map<string, ConsumerProcess[]>> {
  const { rows } = await database.query<ConsumerProcess & { consumer: string }>(FRESH_SQL, [
    consumers,
    STALE_AFTER_SECONDS,
  ]);
  const processes = new Map<string, ConsumerProcess[]>();
  for (const { consumer, ...process } of rows) {
    processes.set(consumer, [...(processes.get(consumer) ?? []), process]);
  }
  return processes;
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

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * The first process stores the shard count, every later one compares: with another count it would look for waiting
 * messages in the wrong shards, and two processes could serve one portal.
 * @throws StartupError when they differ
 */
export async function requireShardCount(databaseUrl: string, count = SHARD_COUNT): Promise<void> {
  const client = new DatabaseClient({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // A connection that breaks while it is being closed must not end the process.
  await client.connect();
  try {
    await client.query('INSERT INTO bus.topology (shards) VALUES ($1) ON CONFLICT DO NOTHING', [count]);
    const { rows } = await client.query<{ shards: number }>('SELECT shards FROM bus.topology');
    const stored = rows[0]?.shards;
    if (stored !== count) {
      throw new StartupError(
        `This installation was set up with ${stored} shards, and this version works with ${count}: run the version that it was set up with until no message waits, then change the row in bus.topology.`,
      );
    }
  } finally {
    await client.end();
  }
}
