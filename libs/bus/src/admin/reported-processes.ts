import type pg from 'pg';
import { STALE_AFTER_SECONDS, type ConsumerProcess } from './process-reports.js';

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
