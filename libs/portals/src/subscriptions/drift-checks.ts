import type { DataSource } from 'typeorm';
import { queryRows } from '../database/sql.js';

const DAY_MS = 24 * 3_600_000;
/** A comparison is due at a random moment after the last one, so that those of thousands of portals stay spread. */
const MIN_SHARE = 0.8;
/** A portal that differed is compared again sooner: whether the repair lasts is known before the day is over. */
const AFTER_DRIFT_MS = 3_600_000;
/** Until a requested comparison is requested again, if nothing came of it. */
const REQUEST_TIMEOUT_MS = 2 * 3_600_000;
/** After a downtime all portals are due: as many are taken as would take a fifth of a day. */
const CATCH_UP_FACTOR = 5;
const MIN_BATCH_SIZE = 10;

/** Numbers of handlers in which a portal differed from what is wanted. */
export interface DriftCounts {
  /** Wanted, and not bound there. */
  missing: number;
  /** Ours, and not wanted. */
  surplus: number;
  /** Handlers of the application at addresses that are not ours; never touched. */
  foreign: number;
}

/** What the last comparison of a portal found, before it was repaired. */
export interface DriftReport extends DriftCounts {
  checkedAt: Date;
}

/** SQL: rows of portals whose last comparison still says something. */
const CHECKED = `portals.drift_checks d JOIN portals.portals p USING (member_id)
  WHERE d.checked_at >= p.installed_at AND p.state <> 'uninstalled'`;

/** When the handlers of each portal are compared with the wanted ones, and what the last comparison found. */
export class DriftChecks {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Takes the portals whose comparison is due; a new portal's is at a random moment of its first day.
   * @param sweepEveryMs how often this is called
   */
  async takeDue(sweepEveryMs: number): Promise<string[]> {
    await this.dataSource.query(
      `INSERT INTO portals.drift_checks (member_id, next_check_at)
       SELECT member_id, clock_timestamp() + random() * make_interval(secs => $1 / 1000.0)
       FROM portals.portals JOIN portals.credentials USING (member_id)
       WHERE kind = 'oauth' AND state = 'installed'
         AND NOT EXISTS (SELECT FROM portals.drift_checks d WHERE d.member_id = portals.member_id)
       ON CONFLICT DO NOTHING`,
      [DAY_MS],
    );
    const taken = await queryRows<{ memberId: string }>(
      this.dataSource,
      `UPDATE portals.drift_checks SET next_check_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
       WHERE member_id IN (
         SELECT member_id FROM portals.drift_checks
           JOIN portals.portals USING (member_id) JOIN portals.credentials USING (member_id)
         WHERE kind = 'oauth' AND state = 'installed' AND next_check_at <= clock_timestamp()
         ORDER BY next_check_at
         LIMIT greatest($1, (SELECT ceil(count(*) * $2::float8) FROM portals.drift_checks))
         FOR UPDATE OF drift_checks SKIP LOCKED)
       RETURNING member_id AS "memberId"`,
      [MIN_BATCH_SIZE, (CATCH_UP_FACTOR * sweepEveryMs) / DAY_MS, REQUEST_TIMEOUT_MS],
    );
    return taken.map(({ memberId }) => memberId);
  }

  /** The next comparison: within a day, or soon if there was a difference. */
  async save(memberId: string, { missing, surplus, foreign }: DriftCounts): Promise<void> {
    const nextMs = missing + surplus > 0 ? AFTER_DRIFT_MS : DAY_MS;
    await this.dataSource.query(
      `INSERT INTO portals.drift_checks (member_id, missing, surplus, foreign_handlers, checked_at, next_check_at)
       SELECT member_id, $2, $3, $4, clock_timestamp(),
         clock_timestamp() + (${MIN_SHARE} + random() * ${1 - MIN_SHARE}) * make_interval(secs => $5 / 1000.0)
       FROM portals.portals WHERE member_id = $1
       ON CONFLICT (member_id) DO UPDATE SET missing = excluded.missing, surplus = excluded.surplus,
         foreign_handlers = excluded.foreign_handlers, checked_at = excluded.checked_at, next_check_at = excluded.next_check_at`,
      [memberId, missing, surplus, foreign, nextMs],
    );
  }

  /** By member id; no entry before the first comparison since its install. */
  async reports(): Promise<Map<string, DriftReport>> {
    const rows = await queryRows<DriftReport & { memberId: string }>(
      this.dataSource,
      `SELECT d.member_id AS "memberId", d.missing, d.surplus, d.foreign_handlers AS "foreign", d.checked_at AS "checkedAt"
       FROM ${CHECKED}`,
    );
    return new Map(rows.map(({ memberId, ...report }) => [memberId, report]));
  }

  /** Numbers of portals whose last comparison found a difference. */
  async portalsWithDrift(): Promise<{ missing: number; surplus: number }> {
    const [row] = await queryRows<{ missing: number; surplus: number }>(
      this.dataSource,
      `SELECT count(*) FILTER (WHERE d.missing > 0)::int AS missing, count(*) FILTER (WHERE d.surplus > 0)::int AS surplus
       FROM ${CHECKED}`,
    );
    return row ?? { missing: 0, surplus: 0 };
  }

  /** From now on handlers at this address are ours. Call before the first one is bound. */
  async addAddress(address: string): Promise<void> {
    await this.dataSource.query(
      'INSERT INTO portals.handler_addresses (address) VALUES ($1) ON CONFLICT DO NOTHING',
      [address],
    );
  }

  /** Every address that this installation ever bound. */
  async addresses(): Promise<Set<string>> {
    const rows = await queryRows<{ address: string }>(
      this.dataSource,
      'SELECT address FROM portals.handler_addresses',
    );
    return new Set(rows.map(({ address }) => address));
  }
}
