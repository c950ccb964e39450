import type { DataSource } from 'typeorm';
import type { ShownPortalState } from '../store/entities.js';
import { queryRows } from '../store/sql.js';

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

export class PortalQuery {
  constructor(private readonly dataSource: DataSource) {}

  /** Every portal that was ever installed, by domain. */
  all(): Promise<ListedPortal[]> {
    return queryRows<ListedPortal>(
      this.dataSource,
      `SELECT member_id AS "memberId", domain, kind,
         CASE WHEN state = 'installed' AND resuming_since IS NOT NULL THEN 'resuming' ELSE state END AS state,
         suspended_reason AS "suspendedReason",
         suspended_until AS "suspendedUntil", language, settings, installed_at AS "installedAt"
       FROM portals.portals LEFT JOIN portals.credentials USING (member_id) ORDER BY domain, member_id`,
    );
  }
}
