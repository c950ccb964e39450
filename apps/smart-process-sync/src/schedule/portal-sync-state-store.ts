import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** The schedule's state of a portal. */
export interface PortalSyncState {
  memberId: string;
  backfillRequestedAt: Date | null;
  isReconcileDue: boolean;
  settingsSeen: unknown;
  isUninstalled: boolean;
  /** The last gap of its events (`EventGaps`) that a comparison was requested for. */
  gapSeen: string;
}

/** Each portal at its own time, so that a thousand of them are not reconciled at once. */
const NEXT_RECONCILIATION = `clock_timestamp() + interval '1 day'`;
const FIRST_RECONCILIATION = `clock_timestamp() + random() * interval '1 day'`;

@Injectable()
export class PortalSyncStateStore {
  constructor(private readonly source: DataSource) {}

  async all(): Promise<Map<string, PortalSyncState>> {
    const rows = await this.source.query<PortalSyncState[]>(
      `SELECT member_id AS "memberId", backfill_asked_at AS "backfillRequestedAt", settings_seen AS "settingsSeen",
         coalesce(reconcile_due_at <= clock_timestamp(), false) AS "isReconcileDue", is_away AS "isUninstalled",
         gap_seen::text AS "gapSeen"
       FROM mirror.portals`,
    );
    return new Map(rows.map((row) => [row.memberId, row]));
  }

  /** Its first backfill is requested, with these settings. @param gap the last one that the backfill comes after */
  async recordFirst(memberId: string, settings: unknown, gap: string): Promise<void> {
    await this.source.query(
      `INSERT INTO mirror.portals AS old (member_id, backfill_asked_at, settings_seen, reconcile_due_at, gap_seen)
       VALUES ($1, clock_timestamp(), $2::jsonb, ${FIRST_RECONCILIATION}, $3)
       ON CONFLICT (member_id) DO UPDATE SET backfill_asked_at = clock_timestamp(), settings_seen = $2::jsonb,
         is_away = false, reconcile_due_at = ${FIRST_RECONCILIATION}, gap_seen = $3`,
      [memberId, JSON.stringify(settings), gap],
    );
  }

  async recordSettings(memberId: string, settings: unknown): Promise<void> {
    await this.source.query(`UPDATE mirror.portals SET settings_seen = $2::jsonb WHERE member_id = $1`, [
      memberId,
      JSON.stringify(settings),
    ]);
  }

  async recordUninstalled(memberId: string): Promise<void> {
    await this.source.query(`UPDATE mirror.portals SET is_away = true WHERE member_id = $1`, [memberId]);
  }

  /** @param gap the last one that the comparison comes after */
  async recordReconciliation(memberId: string, gap: string): Promise<void> {
    await this.source.query(
      `UPDATE mirror.portals SET is_away = false, reconcile_due_at = ${NEXT_RECONCILIATION}, gap_seen = $2
       WHERE member_id = $1`,
      [memberId, gap],
    );
  }

  /** Events of a new type may have been missed before its handlers were bound. */
  async reconcileSoon(memberId: string): Promise<void> {
    await this.source.query(
      `UPDATE mirror.portals SET reconcile_due_at = least(reconcile_due_at, clock_timestamp() + interval '3 minutes')
       WHERE member_id = $1`,
      [memberId],
    );
  }

  /** As if the portal were new; forgotten rows stay forgotten. */
  async forget(memberId: string): Promise<void> {
    await this.source.query(
      `UPDATE mirror.portals SET backfill_asked_at = NULL, settings_seen = NULL, reconcile_due_at = NULL, is_away = false
       WHERE member_id = $1`,
      [memberId],
    );
  }
}
