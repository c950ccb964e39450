import type pg from 'pg';
import { NEWER_CODE } from '../../contract/newer-messages.js';
import { leaseIsHeld } from '../shard-leases.js';

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
