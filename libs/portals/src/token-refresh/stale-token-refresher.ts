import { OAuthError } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import type { PortalClients } from '../portal-clients.js';

/** A refresh token lives 180 days: a month is left for what may go wrong (`settings/oauth/auto-renewal.md`). */
const IDLE_DAYS = 150;
/** Read at once; each is renewed on its own. */
const LOT_SIZE = 20;

export interface StaleTokenReport {
  renewed: number;
  /** Refused or impossible; each is in the log. */
  failed: number;
}

/**
 * Renews the pairs of portals that nobody has called for so long that their refresh token would run out. The one
 * renewal that is not asked for by an expired token: for anything more often an application can be blocked.
 */
export class StaleTokenRefresher {
  constructor(
    private readonly dataSource: DataSource,
    private readonly clients: PortalClients,
    private readonly log: Log,
  ) {}

  /**
   * Renews at most `limit` portals, one after the other, and ends early when the OAuth server is away, or behind the one
   * in hand when the signal aborts. To be called once a day; several processes may do so at the same time, a portal is
   * renewed once.
   */
  async refreshStaleTokens(limit: number, signal?: AbortSignal): Promise<StaleTokenReport> {
    const report: StaleTokenReport = { renewed: 0, failed: 0 };
    const idleSince = new Date(Date.now() - IDLE_DAYS * 24 * 3_600_000);
    const failed = new Set<string>();
    while (report.renewed + report.failed < limit) {
      const size = Math.min(LOT_SIZE, limit - report.renewed - report.failed);
      const lot = await this.due(idleSince, [...failed], size);
      for (const memberId of lot) {
        if (signal?.aborted) return report;
        const isRenewed = await this.refresh(memberId, idleSince);
        if (isRenewed === 'oauth-away') return report;
        if (isRenewed) report.renewed += 1;
        else {
          report.failed += 1;
          failed.add(memberId);
        }
      }
      if (lot.length < size) break;
    }
    return report;
  }

  /**
   * Suspended ones, too: who pays again, or is let in again, is to find a pair that works. Not those whose row is
   * locked: they are being renewed, or changed, at this moment. In no order, so that portals whose renewal fails every
   * day do not keep the others from their turn.
   */
  private async due(idleSince: Date, except: readonly string[], size: number): Promise<string[]> {
    const rows = await this.dataSource.query<{ memberId: string }[]>(
      `SELECT c.member_id AS "memberId" FROM portals.credentials c JOIN portals.portals p USING (member_id)
       WHERE c.kind = 'oauth' AND p.state IN ('installed', 'suspended') AND c.updated_at < $1 AND c.member_id <> ALL ($2)
       ORDER BY random() LIMIT $3 FOR UPDATE OF c SKIP LOCKED`,
      [idleSince, except, size],
    );
    return rows.map(({ memberId }) => memberId);
  }

  private async refresh(memberId: string, idleSince: Date): Promise<boolean | 'oauth-away'> {
    try {
      await this.clients.tokens(memberId).refreshStale(idleSince);
      this.log.info({ memberId }, 'the tokens of an unused portal were renewed');
      return true;
    } catch (err) {
      this.log.warn({ err, memberId }, 'the tokens of an unused portal could not be renewed');
      return err instanceof OAuthError && err.unreachable ? 'oauth-away' : false;
    }
  }
}
