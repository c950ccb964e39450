import type { DataSource, EntityManager } from 'typeorm';
import { queryRows } from '../database/sql.js';

/** SQL: the state of reachability `r` says something about the present installation of row `p`. */
export const IS_UNREACHABLE = `p.state = 'installed' AND p.delivery_mode <> 'offline' AND r.unreachable_since >= p.installed_at`;

/**
 * Why events were missed, or may have been:
 * - `PAYMENT_REQUIRED`, `ACCESS_DENIED`: the portal was suspended for it, and makes neither events nor records meanwhile;
 * - `WRONG_LICENSE`: the plan did not allow to read the offline queue at all;
 * - `LOST_ANSWER`: a basic plan may have deleted records of its offline queue that nobody has read;
 * - `UNREACHABLE`: what the portal posted did not arrive, and nothing reads its offline queue.
 */
type EventGapReason = 'PAYMENT_REQUIRED' | 'ACCESS_DENIED' | 'WRONG_LICENSE' | 'LOST_ANSWER' | 'UNREACHABLE';

/** A time whose changes are to be looked for. */
export interface EventGap {
  /** Of the last gap that it covers. */
  id: string;
  beganAt: Date;
}

/**
 * A portal is asked at least once a day (its handlers), so what it rejects now it did not reject a day ago.
 * @see EventGaps.begin
 */
const ASKED_EVERY = `interval '1 day'`;
const KEPT = `interval '30 days'`;
/** A portal that is paid, and is not, in turn, or whose answers are lost for ever, is compared no more often. */
const EVERY = `interval '1 hour'`;
/** SQL: no sooner than gap `g` may end. Null for the first one of its portal. */
const NOT_BEFORE = `(SELECT max(earlier.ended_at) + ${EVERY} FROM portals.event_gaps earlier
  WHERE earlier.member_id = g.member_id AND earlier.id < g.id)`;

/**
 * Times whose events no consumer got, and no queue has. A consumer that must not miss a change compares with the portal
 * when such a time is over; it remembers the last that it has seen. So the gaps of a portal end in the order of their
 * numbers: none begins beside one that lasts, and one that is about to end goes on instead.
 */
export class EventGaps {
  constructor(private readonly dataSource: Pick<DataSource | EntityManager, 'query'>) {}

  /**
   * Events are missed from now on, or have been for a while. Changes nothing while a gap of the portal lasts, unless that
   * would end with the plan alone.
   * @param beganAt undefined: when the portal was last heard of, for one that is unreachable; else within the last day
   */
  async begin(
    memberId: string,
    reason: Exclude<EventGapReason, 'LOST_ANSWER'>,
    beganAt?: Date,
  ): Promise<void> {
    await this.removeOld(memberId);
    await this.dataSource.query(
      `WITH begun AS (
         SELECT member_id, coalesce($3::timestamptz, CASE $2 WHEN 'UNREACHABLE' THEN heard_at END,
           clock_timestamp() - ${ASKED_EVERY}) AS began_at
         FROM portals.portals LEFT JOIN portals.event_arrivals USING (member_id)
         WHERE member_id = $1 AND ($2 <> 'UNREACHABLE' OR NOT EXISTS (
           SELECT FROM portals.offline_bindings b WHERE b.member_id = portals.member_id AND b.state = 'bound'))),
       resumed AS (
         UPDATE portals.event_gaps g SET ended_at = NULL, reason = $2, began_at = least(g.began_at, begun.began_at)
         FROM begun WHERE g.id = (SELECT max(id) FROM portals.event_gaps WHERE member_id = $1)
           AND (g.ended_at > clock_timestamp() OR (g.ended_at IS NULL AND g.reason = 'WRONG_LICENSE'))
         RETURNING 1)
       INSERT INTO portals.event_gaps (member_id, reason, began_at)
       SELECT member_id, $2, began_at FROM begun WHERE NOT EXISTS (SELECT FROM resumed)
       ON CONFLICT (member_id) WHERE ended_at IS NULL DO NOTHING`,
      [memberId, reason, beganAt ?? null],
    );
  }

  /** The offline queue can be read again. */
  async endWrongLicense(memberId: string): Promise<void> {
    await this.dataSource.query(
      `UPDATE portals.event_gaps g SET ended_at = greatest(clock_timestamp(), ${NOT_BEFORE})
       WHERE member_id = $1 AND reason = 'WRONG_LICENSE' AND ended_at IS NULL`,
      [memberId],
    );
  }

  /** The portal may delete, within `withinMs`, records that were refreshed since `beganAt`. */
  async recordLostAnswer(memberId: string, beganAt: Date, withinMs: number): Promise<void> {
    await this.removeOld(memberId);
    await this.dataSource.query(
      `WITH given AS (SELECT clock_timestamp() + make_interval(secs => $3) AS deleted_until),
       covered AS (
         UPDATE portals.event_gaps g SET began_at = least(g.began_at, $2),
           ended_at = CASE WHEN g.ended_at IS NOT NULL THEN greatest(g.ended_at, deleted_until) END
         FROM given WHERE g.id = (SELECT max(id) FROM portals.event_gaps WHERE member_id = $1)
           AND (g.ended_at IS NULL OR (g.ended_at > clock_timestamp()
             -- Put off for ever, what one lost answer has deleted would never be looked for.
             AND (g.ended_at >= deleted_until OR g.began_at > clock_timestamp() - ${EVERY})))
         RETURNING 1)
       INSERT INTO portals.event_gaps (member_id, reason, began_at, ended_at)
       SELECT member_id, 'LOST_ANSWER', $2, greatest(deleted_until,
         (SELECT max(ended_at) + ${EVERY} FROM portals.event_gaps WHERE member_id = $1))
       FROM portals.portals, given WHERE member_id = $1 AND NOT EXISTS (SELECT FROM covered)`,
      [memberId, beganAt, withinMs / 1_000],
    );
  }

  /** By member id, the last gap that is over; gaps whose cause is gone end by this call. */
  async lastEnded(): Promise<Map<string, string>> {
    await this.dataSource.query(
      `UPDATE portals.event_gaps g SET ended_at = greatest(clock_timestamp(), ${NOT_BEFORE})
       FROM portals.portals p LEFT JOIN portals.reachability r USING (member_id)
       WHERE g.member_id = p.member_id AND g.ended_at IS NULL AND p.state = 'installed' AND CASE g.reason
         WHEN 'UNREACHABLE' THEN NOT coalesce(${IS_UNREACHABLE}, false)
         WHEN 'WRONG_LICENSE' THEN p.delivery_mode = 'online'
         ELSE p.resuming_since IS NULL END`,
    );
    const rows = await queryRows<{ memberId: string; id: string }>(
      this.dataSource,
      `SELECT member_id AS "memberId", max(id)::text AS id FROM portals.event_gaps
       WHERE ended_at <= clock_timestamp() GROUP BY member_id`,
    );
    return new Map(rows.map(({ memberId, id }) => [memberId, id]));
  }

  /** All gaps of the portal that are over and come after this one, up to `last`, as one; undefined when there is none. */
  async after(memberId: string, id: string, last?: string): Promise<EventGap | undefined> {
    const [gap] = await queryRows<EventGap>(
      this.dataSource,
      `SELECT max(id)::text AS id, min(began_at) AS "beganAt" FROM portals.event_gaps
       WHERE member_id = $1 AND id > $2 AND id <= coalesce($3, id) AND ended_at <= clock_timestamp() HAVING count(*) > 0`,
      [memberId, id, last ?? null],
    );
    return gap;
  }

  private async removeOld(memberId: string): Promise<void> {
    await this.dataSource.query(
      `DELETE FROM portals.event_gaps WHERE member_id = $1 AND ended_at < clock_timestamp() - ${KEPT}`,
      [memberId],
    );
  }
}
