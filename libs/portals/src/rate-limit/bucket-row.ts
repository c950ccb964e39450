import { type Bucket, BUCKET_RULES, type RateLimit, DEFAULT_LIMIT } from '@relay/bitrix24';

/**
 * The leaky bucket in SQL, so that taking a ticket is one statement. Same constants and formulas as
 * libs/bitrix24/src/rate-limit/bucket.ts; a spec runs both on the same operations.
 */
const { bulkReserve, raisePerSecond } = BUCKET_RULES;

const LIMIT_COLUMNS = `coalesce(rate, ${DEFAULT_LIMIT.rate}) AS y, coalesce(burst, ${DEFAULT_LIMIT.burst}) AS x`;

/**
 * CTEs of which `bucket` is the locked row of portal $1 at the time `now`: $2, or the clock read after the lock was
 * acquired, because the time before the wait for the lock would be too early.
 */
export const LOCKED_BUCKET = `
  locked AS MATERIALIZED (
    SELECT * FROM portals.rate_buckets WHERE member_id = $1 FOR NO KEY UPDATE
  ),
  clocked AS MATERIALIZED (
    SELECT *, ${LIMIT_COLUMNS}, coalesce($2::timestamptz, clock_timestamp()) AS now FROM locked
  ),
  timed AS (
    SELECT *, greatest(0, extract(epoch FROM now - leaked_at))::float8 AS elapsed FROM clocked
  ),
  raised AS (
    SELECT *, least(elapsed, (1 - share) / ${raisePerSecond}::float8) AS raising FROM timed
  ),
  bucket AS MATERIALIZED (
    SELECT member_id, now, unlimited, x, y, places, refused_place, bulk_from,
      least(places, leaked + y * (
        share * raising + ${raisePerSecond}::float8 * raising * raising / 2 + (elapsed - raising)
      )) AS leaked,
      least(1, share + ${raisePerSecond}::float8 * elapsed) AS share,
      greatest(1, x - 2 * y) AS line,
      greatest(1, (x - 2 * y) * ${1 - bulkReserve}::float8) AS bulk_line
    FROM raised
  )`;

/** The columns of `SELECT ${bucketColumns} FROM bucket`. */
export const bucketColumns = columns('now');

/** $1: the portal. The stored row with the current time, without a lock. */
export const READ_BUCKET_SQL = `
  SELECT ${columns('leaked_at')}, extract(epoch FROM clock_timestamp())::float8 * 1000 AS "nowMs"
  FROM (SELECT *, ${LIMIT_COLUMNS} FROM portals.rate_buckets WHERE member_id = $1) AS bucket`;

export interface BucketRow extends Bucket, RateLimit {
  readonly unlimited: boolean;
}

function columns(leakedAt: string): string {
  return `unlimited, y AS rate, x AS burst, places, leaked, extract(epoch FROM ${leakedAt})::float8 * 1000 AS "leakedAtMs",
    share, refused_place AS "refusedPlace", bulk_from AS "bulkFrom"`;
}
