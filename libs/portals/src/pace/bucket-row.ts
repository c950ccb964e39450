import { type Bucket, bucketRules, type RateLimit, usualLimit } from '@relay/bitrix24';

/**
 * The arithmetic of `Bucket` in PostgreSQL, for what has to be one statement. Its numbers and its formulas are those of
 * libs/bitrix24/src/pace/bucket.ts; a spec plays both on the same moves.
 */
const { bulkReserve, raisePerSecond } = bucketRules;

const limitColumns = `coalesce(rate, ${usualLimit.rate}) AS y, coalesce(burst, ${usualLimit.burst}) AS x`;

/**
 * Tables for a WITH, of which `bucket` holds the row of portal $1, locked, as it is at `now`: the time $2, or the
 * clock's, read after the lock was got, since whoever waited for it must not count from before.
 */
export const lockedBucket = `
  locked AS MATERIALIZED (
    SELECT * FROM portals.rate_buckets WHERE member_id = $1 FOR NO KEY UPDATE
  ),
  clocked AS MATERIALIZED (
    SELECT *, ${limitColumns}, coalesce($2::timestamptz, clock_timestamp()) AS now FROM locked
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

/** $1: the portal. The row as it was left, with the time now, and no lock. */
export const readBucketSql = `
  SELECT ${columns('leaked_at')}, extract(epoch FROM clock_timestamp())::float8 * 1000 AS "nowMs"
  FROM (SELECT *, ${limitColumns} FROM portals.rate_buckets WHERE member_id = $1) AS bucket`;

export interface BucketRow extends Bucket, RateLimit {
  readonly unlimited: boolean;
}

function columns(leakedAt: string): string {
  return `unlimited, y AS rate, x AS burst, places, leaked, extract(epoch FROM ${leakedAt})::float8 * 1000 AS "leakedAtMs",
    share, refused_place AS "refusedPlace", bulk_from AS "bulkFrom"`;
}
