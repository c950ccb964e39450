import type { DataSource } from 'typeorm';
import { queryRows } from '../database/sql.js';

/** Longer than it takes to wake all that waits for so many portals; a process that dies leaves it to the others. */
const LEASE_MS = 60_000;
const MAX_CLAIMED = 500;

/** Portals whose waiting work this process must wake, leased until `until`. */
export interface ClaimedWakes {
  memberIds: ReadonlySet<string>;
  /** As PostgreSQL writes it, with its microseconds. */
  until: string;
}

/**
 * Portals that work again, for any reason: a database trigger records each one, and the process that claims it wakes
 * its waiting work. After a failure it is claimed again.
 */
export class PortalWakes {
  constructor(private readonly dataSource: DataSource) {}

  /** Undefined when there is none. One that has been rejected again meanwhile is left until it works. */
  async claim(): Promise<ClaimedWakes | undefined> {
    // A portal whose row is locked, for example by a token refresh, does not block the others.
    const rows = await queryRows<{ memberId: string; until: string }>(
      this.dataSource,
      `WITH lease AS MATERIALIZED (SELECT clock_timestamp() + make_interval(secs => $1) AS until)
       UPDATE portals.portals SET wake_at = (SELECT until FROM lease)
       WHERE member_id IN (
         SELECT member_id FROM portals.portals WHERE wake_at <= clock_timestamp() AND state = 'installed'
         ORDER BY wake_at LIMIT $2 FOR UPDATE SKIP LOCKED)
       RETURNING member_id AS "memberId", wake_at::text AS until`,
      [LEASE_MS / 1_000, MAX_CLAIMED],
    );
    const [first] = rows;
    return first && { memberIds: new Set(rows.map(({ memberId }) => memberId)), until: first.until };
  }

  /** One that has failed and come to work again meanwhile is due once more. */
  async done({ memberIds, until }: ClaimedWakes): Promise<void> {
    await this.dataSource.query(
      `UPDATE portals.portals SET wake_at = NULL WHERE member_id = ANY ($1) AND wake_at = $2::timestamptz`,
      [[...memberIds], until],
    );
  }
}
