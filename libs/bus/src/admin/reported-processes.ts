import type pg from 'pg';

/** One process of a consumer, as it reported itself. */
export interface ConsumerProcess {
  replica: string;
  /** For display; in a container, the container id. */
  host: string;
  pid: number;
  /** Portals with work. */
  lanes: number;
  /** Events that wait in lanes. */
  waiting: number;
  /** Batches in flight. */
  batches: number;
  /** The circuit breaker is open: one event at a time is tried. */
  isPaused: boolean;
  oldestAt: Date | null;
  /** Messages written by a newer version that it has returned to the bus lately. */
  newer: number;
  startedAt: Date;
  reportedAt: Date;
}

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
