import type { DataSource } from 'typeorm';
import { IS_UNREACHABLE } from '../reachability/event-gaps.js';
import type { DeliveryMode, ShownPortalState } from '../database/entities.js';
import { queryRows } from '../database/sql.js';

/** A portal, for operators. */
export interface ListedPortal {
  memberId: string;
  domain: string;
  state: ShownPortalState;
  /** Kind of its credentials; null after an uninstall. */
  kind: 'oauth' | 'webhook' | null;
  /** Bitrix24's error code; null unless it is `suspended`. */
  suspendedReason: string | null;
  /** Time of the next probe; null unless it is `suspended`. */
  suspendedUntil: Date | null;
  language: string | null;
  settings: Record<string, unknown>;
  installedAt: Date;
}

/** How one portal stands, for its own people. */
export interface PortalOverview {
  state: ShownPortalState;
  mode: DeliveryMode;
  installedAt: Date;
  /** When an event for consumers came last, online or by its queue; null: none was noticed. */
  lastEventAt: Date | null;
}

const SHOWN_STATE = `CASE WHEN state = 'installed' AND resuming_since IS NOT NULL THEN 'resuming'
  WHEN ${IS_UNREACHABLE} THEN 'unreachable' ELSE state END`;

export class PortalQuery {
  constructor(private readonly dataSource: DataSource) {}

  /** Every portal that was ever installed, by domain. */
  all(): Promise<ListedPortal[]> {
    return queryRows<ListedPortal>(
      this.dataSource,
      `SELECT member_id AS "memberId", domain, kind,
         ${SHOWN_STATE} AS state,
         suspended_reason AS "suspendedReason",
         suspended_until AS "suspendedUntil", language, settings, installed_at AS "installedAt"
       FROM portals.portals p LEFT JOIN portals.credentials USING (member_id)
         LEFT JOIN portals.reachability r USING (member_id) ORDER BY domain, member_id`,
    );
  }

  /** The domain of each of these portals that is known, by `member_id`. */
  async domainsOf(memberIds: readonly string[]): Promise<Map<string, string>> {
    const rows = await queryRows<{ memberId: string; domain: string }>(
      this.dataSource,
      'SELECT member_id AS "memberId", domain FROM portals.portals WHERE member_id = ANY ($1::text[])',
      [memberIds],
    );
    return new Map(rows.map(({ memberId, domain }) => [memberId, domain]));
  }

  /** Undefined for a portal that was never installed. */
  async overview(memberId: string): Promise<PortalOverview | undefined> {
    const [row] = await queryRows<PortalOverview>(
      this.dataSource,
      `SELECT ${SHOWN_STATE} AS state, delivery_mode AS mode, installed_at AS "installedAt",
         greatest(a.event_at, a.record_at) AS "lastEventAt"
       FROM portals.portals p LEFT JOIN portals.reachability r USING (member_id)
         LEFT JOIN portals.event_arrivals a USING (member_id) WHERE member_id = $1`,
      [memberId],
    );
    return row;
  }

  /** States of which there is no portal are left out. */
  async countByState(): Promise<Map<ShownPortalState, number>> {
    const rows = await queryRows<{ state: ShownPortalState; portals: number }>(
      this.dataSource,
      `SELECT ${SHOWN_STATE} AS state, count(*)::int AS portals
       FROM portals.portals p LEFT JOIN portals.reachability r USING (member_id) GROUP BY 1`,
    );
    return new Map(rows.map(({ state, portals }) => [state, portals]));
  }
}
