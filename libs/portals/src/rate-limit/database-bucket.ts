import { BUCKET_RULES, DEFAULT_LIMIT, type Priority } from '@relay/bitrix24';
import { type Log, prepared } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { notInstalled } from '../database/errors.js';
import { queryRows } from '../database/sql.js';

/**
 * The leaky bucket in SQL, so that taking a ticket is one statement. Same constants and formulas as
 * libs/bitrix24/src/rate-limit/bucket.ts; test/rate-limit-model.spec.ts runs both on the same operations.
 */
const { backgroundReserve, raisePerSecond } = BUCKET_RULES;

const LIMIT_COLUMNS = `coalesce(rate, ${DEFAULT_LIMIT.rate}) AS y, coalesce(burst, ${DEFAULT_LIMIT.burst}) AS x`;

/** CTEs of which `bucket` is the row of `clocked` at its time `now`. */
const LEAKED_BUCKET = `
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
      greatest(1, (x - 2 * y) * ${1 - backgroundReserve}::float8) AS bulk_line
    FROM raised
  )`;

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
  ${LEAKED_BUCKET}`;

/** Milliseconds until `target` tickets have leaked from `bucket`, as `untilLeaked` of the model computes them. */
const untilLeaked = (target: string): string => `
  ceil(1000 * (SELECT CASE WHEN need <= 0 THEN 0
      WHEN need >= whole THEN (1 - share) / ${raisePerSecond}::float8 + need - whole
      ELSE (sqrt(share * share + 2 * ${raisePerSecond}::float8 * need) - share) / ${raisePerSecond}::float8 END
    FROM (SELECT (${target} - leaked) / y AS need, (1 - share * share) / (2 * ${raisePerSecond}::float8) AS whole) AS s))`;

/**
 * $3: whether it is background work.
 *
 * The commit is asynchronous, which shortens the row lock to a third: after a crash of the database the most recent
 * tickets are lost, which a rejection by Bitrix24 would correct.
 */
const TAKE_SQL = prepared(
  'take-ticket',
  `
  WITH ${LOCKED_BUCKET},
  relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
  asked AS MATERIALIZED (
    SELECT bucket.*, NOT $3::boolean OR places + 1 - leaked <= bulk_line OR leaked >= bulk_from AS granted
    FROM bucket CROSS JOIN relaxed
  ),
  taken AS (
    UPDATE portals.rate_buckets AS row
    SET places = asked.places + 1, leaked = asked.leaked, leaked_at = asked.now, share = asked.share,
      bulk_from = CASE WHEN $3 THEN asked.leaked + ${BUCKET_RULES.backgroundEvery} ELSE asked.bulk_from END
    FROM asked WHERE row.member_id = asked.member_id AND asked.granted
  )
  SELECT unlimited, granted, places + 1 AS ticket,
    CASE WHEN granted THEN ${untilLeaked('places + 1 - line')}
      ELSE least(${untilLeaked('places + 1 - bulk_line')}, ${untilLeaked('bulk_from')}) END AS "waitMs"
  FROM asked`,
);

/** $2: the ticket. Without a lock. */
const DELAY_SQL = prepared(
  'ticket-delay',
  `
  WITH clocked AS (
    SELECT *, ${LIMIT_COLUMNS}, clock_timestamp() AS now FROM portals.rate_buckets WHERE member_id = $1
  ),
  ${LEAKED_BUCKET}
  SELECT CASE WHEN unlimited THEN 0 ELSE ${untilLeaked('$2 - line')} END AS "waitMs" FROM bucket`,
);

const THROTTLE_DOWN_SQL = `
  WITH ${LOCKED_BUCKET},
  rejected AS MATERIALIZED (
    SELECT *, least(places, leaked + line) AS ticket FROM bucket
    WHERE leaked + line >= refused_place + 1 AND NOT unlimited
  )
  UPDATE portals.rate_buckets AS row
  SET refused_place = rejected.ticket, leaked = rejected.ticket - x, leaked_at = rejected.now,
    share = greatest(${BUCKET_RULES.minMultiplier}, rejected.share * ${BUCKET_RULES.decreaseFactor}::float8),
    bulk_from = rejected.bulk_from + (rejected.ticket - x) - rejected.leaked
  FROM rejected WHERE row.member_id = rejected.member_id
  RETURNING row.share AS "rateMultiplier"`;

const RELEASE_SQL = `
  UPDATE portals.rate_buckets SET places = places - 1, leaked = least(leaked, places - 1)
  WHERE member_id = $1 AND places = $2`;

/** A portal's row is created by its first request. */
export const INSERT_BUCKET_SQL = `
  INSERT INTO portals.rate_buckets (member_id) SELECT member_id FROM portals.portals WHERE member_id = $1
  ON CONFLICT DO NOTHING`;

/** How long a portal counts as unlimited without another query. */
const UNLIMITED_FOR_MS = 60_000;
/** The ticket number of a request to an unlimited portal. */
const NO_TICKET = 0;

/** `waitMs`: until the ticket may be used; without a ticket, until there may be one for this work. */
export type Ticket =
  | { readonly granted: true; readonly ticket: number; readonly waitMs: number }
  | { readonly granted: false; readonly waitMs: number };

interface TakenRow {
  readonly unlimited: boolean;
  readonly granted: boolean;
  readonly ticket: number;
  readonly waitMs: number;
}

/**
 * Bucket of one portal, shared by all processes: Bitrix24 counts every request from our address, whichever process sent
 * it. One statement takes a ticket, by the database's clock; no lock is held while the request waits.
 */
export class DatabaseBucket {
  private unlimitedUntilMs = -Infinity;

  constructor(
    private readonly dataSource: Pick<DataSource, 'query'>,
    private readonly memberId: string,
    private readonly log: Log,
  ) {}

  /**
   * @param at the database's clock, if not told otherwise
   * @throws Bitrix24Error NOT_INSTALLED
   */
  async take(priority: Priority, at?: Date): Promise<Ticket> {
    if (performance.now() < this.unlimitedUntilMs) return { granted: true, ticket: NO_TICKET, waitMs: 0 };
    const row = (await this.takeRow(priority, at)) ?? (await this.createAndTakeRow(priority, at));
    if (row.unlimited) {
      this.unlimitedUntilMs = performance.now() + UNLIMITED_FOR_MS;
      return { granted: true, ticket: NO_TICKET, waitMs: 0 };
    }
    const { granted, ticket, waitMs } = row;
    return granted ? { granted, ticket, waitMs } : { granted, waitMs };
  }

  /** Milliseconds until the ticket may be used, as of now: a rejection or a changed limit moves it. */
  async ticketDelayMs(ticket: number): Promise<number> {
    if (ticket === NO_TICKET) return 0;
    const [row] = await queryRows<{ waitMs: number }>(this.dataSource, DELAY_SQL, [this.memberId, ticket]);
    if (!row) throw notInstalled(this.memberId);
    return row.waitMs;
  }

  /** Releases a ticket whose request will not be sent. Does not reject. */
  async release(ticket: number): Promise<void> {
    if (ticket === NO_TICKET) return;
    try {
      await this.dataSource.query(RELEASE_SQL, [this.memberId, ticket]);
    } catch (err) {
      // The only effect is one request less than the limit allows.
      this.log.debug({ err, memberId: this.memberId }, 'a ticket of the rate limiter could not be released');
    }
  }

  /** Throttles down after Bitrix24 has rejected a request. Does not reject. */
  async throttleDown(at?: Date): Promise<void> {
    const { memberId, log } = this;
    try {
      const throttled = await queryRows<{ rateMultiplier: number }>(this.dataSource, THROTTLE_DOWN_SQL, [
        memberId,
        at,
      ]);
      const [first] = throttled;
      if (first)
        log.warn(
          { event: 'rate_limit.refused', memberId, rateMultiplier: first.rateMultiplier },
          'the portal rejected a request: other clients call it from our address',
        );
    } catch (err) {
      log.warn(
        { event: 'rate_limit.refusal.unstored', err, memberId },
        'a rejection by the portal could not be shared with the other processes',
      );
    }
  }

  private async takeRow(priority: Priority, at?: Date): Promise<TakenRow | undefined> {
    const parameters = [this.memberId, at, priority === 'background'];
    const [row] = await queryRows<TakenRow>(this.dataSource, TAKE_SQL, parameters);
    return row;
  }

  private async createAndTakeRow(priority: Priority, at?: Date): Promise<TakenRow> {
    await this.dataSource.query(INSERT_BUCKET_SQL, [this.memberId]);
    const row = await this.takeRow(priority, at);
    if (!row) throw notInstalled(this.memberId);
    return row;
  }
}
