import {
  BUCKET_RULES,
  grantTicket,
  leakBucket,
  rejectTicket,
  type SharedBucket,
  type Ticket,
  delayUntilTurn,
  type Priority,
} from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { notInstalled } from '../errors.js';
import { bucketColumns, type BucketRow, LOCKED_BUCKET, READ_BUCKET_SQL } from './bucket-row.js';

/**
 * $3: whether it is bulk work. The returned row is the one before the ticket was taken.
 *
 * The commit is asynchronous, which shortens the row lock to a third: after a crash of the database the most recent
 * tickets are lost, which a rejection by Bitrix24 would correct.
 */
const TAKE_SQL = `
  WITH ${LOCKED_BUCKET},
  relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
  asked AS MATERIALIZED (
    SELECT bucket.*, NOT $3::boolean OR places + 1 - leaked <= bulk_line OR leaked >= bulk_from AS granted
    FROM bucket CROSS JOIN relaxed
  ),
  taken AS (
    UPDATE portals.rate_buckets AS row
    SET places = asked.places + 1, leaked = asked.leaked, leaked_at = asked.now, share = asked.share,
      bulk_from = CASE WHEN $3 THEN asked.leaked + ${BUCKET_RULES.bulkEvery} ELSE asked.bulk_from END
    FROM asked WHERE row.member_id = asked.member_id AND asked.granted
  )
  SELECT granted, ${bucketColumns} FROM asked`;

const LOWER_SQL = `
  WITH ${LOCKED_BUCKET},
  refused AS MATERIALIZED (
    SELECT *, least(places, leaked + line) AS place FROM bucket
    WHERE leaked + line >= refused_place + 1 AND NOT unlimited
  )
  UPDATE portals.rate_buckets AS row
  SET refused_place = refused.place, leaked = refused.place - x, leaked_at = refused.now,
    share = greatest(${BUCKET_RULES.leastShare}, refused.share * ${BUCKET_RULES.lowerBy}::float8),
    bulk_from = refused.bulk_from + (refused.place - x) - refused.leaked
  FROM refused WHERE row.member_id = refused.member_id
  RETURNING row.share`;

const GIVE_BACK_SQL = `
  UPDATE portals.rate_buckets SET places = places - 1, leaked = least(leaked, places - 1)
  WHERE member_id = $1 AND places = $2`;

/** A portal's row is created by its first request. */
export const INSERT_BUCKET_SQL = `
  INSERT INTO portals.rate_buckets (member_id) SELECT member_id FROM portals.portals WHERE member_id = $1
  ON CONFLICT DO NOTHING`;

/** How long a portal counts as unlimited without another query. */
const UNLIMITED_FOR_MS = 60_000;
/** The ticket number of a request to an unlimited portal. */
const NO_PLACE = 0;

/**
 * Bucket of one portal, shared by all processes: Bitrix24 counts every request from our address, whichever process sent
 * it. One statement takes a ticket, by the database's clock; no lock is held while the request waits.
 */
export class DatabaseBucket implements SharedBucket {
  private unlimitedUntilMs = -Infinity;

  constructor(
    private readonly dataSource: DataSource,
    private readonly memberId: string,
    private readonly log: Log,
  ) {}

  /**
   * @param at the database's clock, if not told otherwise
   * @throws Bitrix24Error NOT_INSTALLED
   */
  async take(work: Priority, at?: Date): Promise<Ticket> {
    if (performance.now() < this.unlimitedUntilMs) return { granted: true, place: NO_PLACE, waitMs: 0 };
    const { granted, ...row } = (await this.ask(work, at)) ?? (await this.askFirst(work, at));
    if (row.unlimited) {
      this.unlimitedUntilMs = performance.now() + UNLIMITED_FOR_MS;
      return { granted: true, place: NO_PLACE, waitMs: 0 };
    }
    return granted ? grantTicket(row, row, row.places + 1) : rejectTicket(row, row);
  }

  async untilTurn(place: number): Promise<number> {
    if (place === NO_PLACE) return 0;
    const [row] = await this.dataSource.query<(BucketRow & { nowMs: number })[]>(READ_BUCKET_SQL, [
      this.memberId,
    ]);
    if (!row) throw notInstalled(this.memberId);
    return row.unlimited ? 0 : delayUntilTurn(leakBucket(row, row, row.nowMs), row, place);
  }

  async giveBack(place: number): Promise<void> {
    if (place === NO_PLACE) return;
    try {
      await this.dataSource.query(GIVE_BACK_SQL, [this.memberId, place]);
    } catch (err) {
      // The only effect is one request less than the limit allows.
      this.log.debug({ err, memberId: this.memberId }, 'a place in the rate bucket could not be given back');
    }
  }

  async lower(at?: Date): Promise<void> {
    const { memberId, log } = this;
    try {
      const [lowered] = await this.dataSource.query<[{ share: number }[], number]>(LOWER_SQL, [memberId, at]);
      const [first] = lowered;
      if (first)
        log.warn({ memberId, share: first.share }, 'the portal refused: others call it from our address');
    } catch (err) {
      log.warn({ err, memberId }, 'a refusal of the portal could not be told to the other processes');
    }
  }

  private async ask(work: Priority, at?: Date): Promise<(BucketRow & { granted: boolean }) | undefined> {
    const parameters = [this.memberId, at, work === 'bulk'];
    const [row] = await this.dataSource.query<(BucketRow & { granted: boolean })[]>(TAKE_SQL, parameters);
    return row;
  }

  private async askFirst(work: Priority, at?: Date): Promise<BucketRow & { granted: boolean }> {
    await this.dataSource.query(INSERT_BUCKET_SQL, [this.memberId]);
    const row = await this.ask(work, at);
    if (!row) throw notInstalled(this.memberId);
    return row;
  }
}
