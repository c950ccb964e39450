import type pg from 'pg';
import { eventIn, SCAN_LIMIT } from '../../admin/dead-letter-store.js';
import { STALE_AFTER_SECONDS } from '../../admin/shared-tables.js';
import { RetryCollector, type RetryFilter, type RetryList } from '../../admin/waiting-retries.js';
import { NEWER_CODE } from '../../contract/newer-messages.js';
import { shards, shardOf } from '../../contract/shard.js';
import { wakeChannel } from '../publisher.js';
import { claimLeases, leaseIsHeld } from '../shard-leases.js';
import { STAMP_CTE } from '../fetch-cursors.js';

interface ConsumerCounts {
  consumer: string;
  waiting: number;
  taken: number;
  retrying: number;
  newer: number;
  /** Of those retrying: nothing failed. */
  deferred: number;
  dead: number;
  oldestAt: Date | null;
  /** Shards whose lease a process holds. */
  shardsServed: number;
  /** Something of it is in the tables. */
  known: boolean;
}

const COUNT_SQL = `
  WITH counted AS (
    SELECT consumer,
      count(*) FILTER (WHERE NOT taken AND available_at <= now())::int AS waiting,
      count(*) FILTER (WHERE taken)::int AS taken,
      count(*) FILTER (WHERE NOT taken AND available_at > now())::int AS retrying,
      count(*) FILTER (WHERE NOT taken AND last_code = '${NEWER_CODE}')::int AS newer,
      count(*) FILTER (WHERE NOT taken AND available_at > now() AND first_failed_at IS NULL
        AND last_code IS DISTINCT FROM '${NEWER_CODE}')::int AS deferred,
      min(coalesce(first_failed_at, available_at)) AS "oldestAt"
    FROM bus.messages WHERE consumer = ANY ($1::text[]) GROUP BY consumer
  ), dead AS (
    SELECT consumer, count(*)::int AS dead FROM bus.dead_letters WHERE consumer = ANY ($1::text[]) GROUP BY consumer
  ), served AS (
    SELECT consumer, count(*)::int AS "shardsServed" FROM bus.shard_leases AS l
    WHERE consumer = ANY ($1::text[]) AND ${leaseIsHeld('l')} GROUP BY consumer
  )
  SELECT consumer, coalesce(waiting, 0) AS waiting, coalesce(taken, 0) AS taken, coalesce(retrying, 0) AS retrying,
    coalesce(newer, 0) AS newer, coalesce(deferred, 0) AS deferred, "oldestAt", coalesce(dead, 0) AS dead,
    coalesce("shardsServed", 0) AS "shardsServed",
    EXISTS (SELECT FROM bus.subscriptions s WHERE s.consumer = wanted.consumer) OR waiting IS NOT NULL OR dead IS NOT NULL
      OR EXISTS (SELECT FROM bus.consumer_processes p WHERE p.consumer = wanted.consumer) AS known
  FROM unnest($1::text[]) WITH ORDINALITY AS wanted (consumer, position)
    LEFT JOIN counted USING (consumer) LEFT JOIN dead USING (consumer) LEFT JOIN served USING (consumer)
  ORDER BY position`;

/** Counts from the tables, a row for each of these consumers, in their order. */
export async function countsOf(
  database: Pick<pg.Pool, 'query'>,
  consumers: readonly string[],
): Promise<ConsumerCounts[]> {
  const { rows } = await database.query<ConsumerCounts>(COUNT_SQL, [consumers]);
  return rows;
}

// One look into the index for each consumer: DISTINCT reads every row.
const consumersOf = (table: string, which = 'true'): string => `
  (WITH RECURSIVE found AS (
    SELECT min(consumer) AS consumer FROM ${table} WHERE ${which}
    UNION ALL
    SELECT (SELECT min(consumer) FROM ${table} WHERE consumer > found.consumer AND ${which}) FROM found WHERE consumer IS NOT NULL
  ) SELECT consumer FROM found WHERE consumer IS NOT NULL)`;

const KNOWN_SQL = `
  SELECT consumer FROM bus.subscriptions
  UNION ${consumersOf('bus.messages', 'NOT taken')} UNION ${consumersOf('bus.messages', 'taken')}
  UNION ${consumersOf('bus.dead_letters')} UNION SELECT consumer FROM bus.consumer_processes`;

export async function knownConsumers(database: pg.Pool): Promise<string[]> {
  const { rows } = await database.query<{ consumer: string }>(KNOWN_SQL);
  return rows.map(({ consumer }) => consumer);
}

const KNOWS_SQL = `
  SELECT EXISTS (SELECT FROM bus.subscriptions WHERE consumer = $1)
      OR EXISTS (SELECT FROM bus.messages WHERE consumer = $1 AND NOT taken)
      OR EXISTS (SELECT FROM bus.messages WHERE consumer = $1 AND taken)
      OR EXISTS (SELECT FROM bus.dead_letters WHERE consumer = $1)
      OR EXISTS (SELECT FROM bus.consumer_processes WHERE consumer = $1) AS known`;

export async function knowsConsumer(database: Pick<pg.Pool, 'query'>, consumer: string): Promise<boolean> {
  const { rows } = await database.query<{ known: boolean }>(KNOWS_SQL, [consumer]);
  return rows[0]?.known ?? false;
}

const LOCK_TIMEOUT_MS = 5_000;

/** The result of a removal: nothing was changed unless `removed`. */
type Removal = { removed: true; dropped: number } | { removed: false; reason: 'processes' | 'messages' };

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
  if (claimed.length !== shards.length) return { removed: false, reason: 'processes' };
  await client.query('LOCK TABLE bus.subscriptions IN ACCESS EXCLUSIVE MODE');
  const { rows: alive } = await client.query<{ alive: number }>(ALIVE_SQL, [consumer, STALE_AFTER_SECONDS]);
  if (alive[0]?.alive !== 0) return { removed: false, reason: 'processes' };
  const { rows: left } = await client.query<{ left: number }>(LEFT_SQL, [consumer]);
  const messages = left[0]?.left ?? 0;
  if (messages > 0 && !drop) return { removed: false, reason: 'messages' };
  await unsubscribe(client, consumer);
  for (const table of ['messages', 'dead_letters', 'trials', 'consumer_processes', 'shard_leases']) {
    await client.query(`DELETE FROM bus.${table} WHERE consumer = $1`, [consumer]);
  }
  return { removed: true, dropped: messages };
}

const PAGE_ROWS = 500;

// Member ids are parsed here, not in SQL: PostgreSQL's JSON functions reject a whole query for one invalid escape in
// one row.
const PAGE_SQL = `
  SELECT id, content::text AS content FROM bus.messages
  WHERE consumer = $1 AND shard = ANY ($2::smallint[]) AND NOT taken AND available_at > clock_timestamp() AND id > $3
    AND EXISTS (SELECT FROM unnest($4::text[]) AS wanted WHERE position(wanted IN content::text) > 0)
  ORDER BY id LIMIT $5`;

const WAKE_SQL = `
  WITH ${STAMP_CTE}, woken AS (
    UPDATE bus.messages SET available_at = at FROM stamp
    WHERE id = ANY ($2::bigint[]) AND NOT taken AND available_at > at
    RETURNING id
  )
  SELECT count(*)::int AS count, pg_notify($1, '') FROM woken`;

/** Makes everything that waits for these portals due now. @returns how many messages */
export async function wakeRetries(
  database: pg.Pool,
  consumer: string,
  memberIds: ReadonlySet<string>,
): Promise<number> {
  const wanted = [...memberIds];
  const ownShards = [...new Set(wanted.map((memberId) => shardOf(memberId)))];
  let woken = 0;
  for (let after = '0'; ;) {
    const { rows } = await database.query<{ id: string; content: string }>(PAGE_SQL, [
      consumer,
      ownShards,
      after,
      wanted,
      PAGE_ROWS,
    ]);
    const last = rows.at(-1);
    if (!last) return woken;
    after = last.id;
    const ids = rows.flatMap(({ id, content }) => {
      const memberId = eventIn(Buffer.from(content))?.memberId;
      return memberId !== undefined && memberIds.has(memberId) ? id : [];
    });
    const answer = await database.query<{ count: number }>(WAKE_SQL, [wakeChannel(consumer), ids]);
    woken += answer.rows[0]?.count ?? 0;
  }
}

const RETRIES_SQL = `
  SELECT id, content::text AS content, attempts, last_code AS code,
    (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
    (extract(epoch FROM available_at) * 1000)::float8 AS "dueAt"
  FROM bus.messages WHERE consumer = $1 AND NOT taken AND available_at > clock_timestamp() AND id > $2
  ORDER BY id LIMIT $3`;

interface RetryRow {
  id: string;
  content: string;
  attempts: number;
  code: string | null;
  firstFailedAt: number | null;
  dueAt: number;
}

/** Events that wait for their next attempt. */
export async function listRetries(
  database: Pick<pg.Pool, 'query'>,
  consumer: string,
  filter: RetryFilter,
): Promise<RetryList> {
  const found = new RetryCollector(consumer, filter);
  let [examined, after] = [0, '0'];
  while (examined < SCAN_LIMIT) {
    const { rows } = await database.query<RetryRow>(RETRIES_SQL, [consumer, after, PAGE_ROWS]);
    for (const { id: _, content, code, firstFailedAt, ...row } of rows) {
      found.add({
        ...row,
        content: Buffer.from(content),
        code: code ?? undefined,
        firstFailedAt: firstFailedAt ?? undefined,
      });
    }
    const last = rows.at(-1);
    if (!last || rows.length < PAGE_ROWS) return found.result(true);
    examined += rows.length;
    after = last.id;
  }
  return found.result(false);
}
