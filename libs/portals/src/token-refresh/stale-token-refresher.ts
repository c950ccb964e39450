import { OAuthError } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import type { DatabaseTokenStore } from './database-token-store.js';
import { queryRows } from '../database/sql.js';

/** A refresh token lives 180 days; a month is left for failures and retries (`settings/oauth/auto-renewal.md`). */
const IDLE_DAYS = 150;
/** Portals read per query; each is refreshed on its own. */
const BATCH_SIZE = 20;

interface StaleTokenReport {
  refreshed: number;
  /** Each failure is logged. */
  failed: number;
}

/**
 * Refreshes the pairs of portals that were not called for so long that their refresh token would expire. It is the only
 * refresh without an expired token: an application that refreshes more often can be blocked.
 */
export class StaleTokenRefresher {
  constructor(
    private readonly dataSource: DataSource,
    private readonly portals: { tokens(memberId: string): Pick<DatabaseTokenStore, 'refreshStale'> },
    private readonly log: Log,
  ) {}

  /**
   * Refreshes at most `limit` portals sequentially. Stops early when the OAuth server is unreachable, or after the
   * current portal when the signal aborts. Call it once a day; several processes may run it concurrently, a portal is
   * refreshed once.
   */
  async refreshStaleTokens(limit: number, signal?: AbortSignal): Promise<StaleTokenReport> {
    const report: StaleTokenReport = { refreshed: 0, failed: 0 };
    const idleSince = new Date(Date.now() - IDLE_DAYS * 24 * 3_600_000);
    const failed = new Set<string>();
    while (report.refreshed + report.failed < limit) {
      const size = Math.min(BATCH_SIZE, limit - report.refreshed - report.failed);
      const batch = await this.due(idleSince, [...failed], size);
      for (const memberId of batch) {
        if (signal?.aborted) return report;
        const isRefreshed = await this.refresh(memberId, idleSince);
        if (isRefreshed === 'oauth-away') return report;
        if (isRefreshed) report.refreshed += 1;
        else {
          report.failed += 1;
          failed.add(memberId);
        }
      }
      if (batch.length < size) break;
    }
    return report;
  }

  /**
   * Includes suspended portals: they need a valid pair when the suspension ends. Skips locked rows: they are being
   * refreshed or changed at this moment. In random order, so that portals whose refresh fails every day do not starve
   * the others.
   */
  private async due(idleSince: Date, except: readonly string[], size: number): Promise<string[]> {
    const rows = await queryRows<{ memberId: string }>(
      this.dataSource,
      `SELECT c.member_id AS "memberId" FROM portals.credentials c JOIN portals.portals p USING (member_id)
       WHERE c.kind = 'oauth' AND p.state IN ('installed', 'suspended') AND c.updated_at < $1 AND c.member_id <> ALL ($2)
       ORDER BY random() LIMIT $3 FOR UPDATE OF c SKIP LOCKED`,
      [idleSince, except, size],
    );
    return rows.map(({ memberId }) => memberId);
  }

  private async refresh(memberId: string, idleSince: Date): Promise<boolean | 'oauth-away'> {
    try {
      await this.portals.tokens(memberId).refreshStale(idleSince);
      this.log.info({ memberId }, 'the tokens of an unused portal were refreshed');
      return true;
    } catch (err) {
      this.log.warn(
        { event: 'token.refresh.failed', err, memberId },
        'the tokens of an unused portal could not be refreshed',
      );
      return err instanceof OAuthError && err.unreachable ? 'oauth-away' : false;
    }
  }
}
