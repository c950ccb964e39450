import { Bitrix24Error, type RequestOutcome } from '@relay/bitrix24';
import { counter, type Log } from '@relay/platform';
import { LRUCache } from 'lru-cache';
import type { DataSource } from 'typeorm';
import { EventGaps } from '../reachability/event-gaps.js';
import { notify } from '../database/postgres-listener.js';
import { countChanged, inTransaction, queryRows } from '../database/sql.js';
import { wakeEventBindingAttempts } from '../subscriptions/event-binding-attempts.js';

/** Longer than one request with its rate limit delay and a token refresh; after a crash another process takes over. */
const LEASE_MS = 3 * 60_000;

/** Bound of what this process remembers; a forgotten portal is read again, or probed after its lease. */
const MAX_PORTALS = 10_000;

/** Upper bound, so that waiting work notices a `resume` or an install soon. */
const MAX_RETRY_AFTER_MS = 10 * 60_000;
const MIN_RETRY_AFTER_MS = 1_000;

const suspended = counter({
  name: 'relay_portals_suspended_total',
  help: 'How often a portal was suspended, or its next try failed, by reason.',
  labelNames: ['reason'],
});

/** The circuit of the portal is open. */
class PortalSuspendedError extends Bitrix24Error {
  override readonly name = 'PortalSuspendedError';

  constructor(
    memberId: string,
    readonly reason: string,
    nextTryInMs: number,
    cause?: unknown,
  ) {
    const retryAfterMs = Math.min(Math.max(nextTryInMs, MIN_RETRY_AFTER_MS), MAX_RETRY_AFTER_MS);
    super('PORTAL_SUSPENDED', { memberId, recovery: 'wait', retryAfterMs, cause });
    this.message = `PORTAL_SUSPENDED: the portal takes no calls (${reason}); the next try is in ${formatDelay(nextTryInMs)}`;
  }
}

/**
 * Circuit breaker per portal, shared through the database. A portal that rejects all requests is suspended: it is not
 * called until the next probe, which one process makes. If the probe succeeds, the portal is `installed` again;
 * otherwise the next probe is later.
 */
export class PortalCircuitBreaker {
  /**
   * This process's leases for probing suspended portals: `suspended_until` as PostgreSQL writes it, with its
   * microseconds. A lease is valid while the row still has it.
   */
  private readonly leases = new LRUCache<string, string>({ max: MAX_PORTALS, ttl: LEASE_MS });
  /** Portals that this process has read as `needs-webhook`: the next request shows whether one works again. */
  private readonly withoutWebhook = new LRUCache<string, true>({ max: MAX_PORTALS });
  /** Portals that this process has read as `resuming`: the next request shows whether one works. */
  private readonly resuming = new LRUCache<string, true>({ max: MAX_PORTALS });

  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
  ) {}

  /**
   * Resolves when this process may call a portal that was read as suspended: it has the lease for the due probe, or the
   * portal has been resumed.
   * @throws Bitrix24Error PORTAL_SUSPENDED
   */
  async admit(memberId: string): Promise<void> {
    if (this.leases.get(memberId)) return;
    const [taken] = await queryRows<{ until: string }>(
      this.dataSource,
      `UPDATE portals.portals SET suspended_until = clock_timestamp() + make_interval(secs => $2)
       WHERE member_id = $1 AND state = 'suspended' AND suspended_until <= clock_timestamp()
       RETURNING suspended_until::text AS until`,
      [memberId, LEASE_MS / 1_000],
    );
    if (taken) {
      this.leases.set(memberId, taken.until);
      this.log.info({ memberId }, 'probing a suspended portal');
      return;
    }
    const [state] = await queryRows<{ reason: string; waitMs: number }>(
      this.dataSource,
      `SELECT suspended_reason AS reason,
         extract(epoch FROM suspended_until - clock_timestamp())::float8 * 1000 AS "waitMs"
       FROM portals.portals WHERE member_id = $1 AND state = 'suspended'`,
      [memberId],
    );
    if (state) throw new PortalSuspendedError(memberId, state.reason, state.waitMs);
  }

  /** Records the outcome of each request to the portal. Never rejects: the caller gets the outcome in any case. */
  async note(memberId: string, outcome: RequestOutcome): Promise<void> {
    try {
      const reason = suspensionReason(outcome);
      if (reason) await this.suspend(memberId, reason);
      else if (rejectsWebhook(outcome)) await this.askForWebhook(memberId);
      else if (isServed(outcome)) await this.lift(memberId);
    } catch (err) {
      this.log.warn(
        { event: 'portal.outcome.unstored', err, memberId },
        'the outcome of a request could not be stored',
      );
    }
  }

  /**
   * Suspends a working portal; after a failed probe of this process the suspension is extended. A portal that
   * concurrent requests have suspended already is not changed.
   * @returns the error for the caller
   */
  async suspend(memberId: string, reason: SuspensionReason, cause?: unknown): Promise<PortalSuspendedError> {
    const lease = this.leases.get(memberId);
    // Before the first await: other requests of this process in flight at the portal will fail the same way.
    this.leases.delete(memberId);
    this.resuming.delete(memberId);
    const pausesMs = Array.from({ length: 16 }, (_, failures) => suspensionMs(reason, failures));
    const row = await inTransaction(this.dataSource, async (manager) => {
      const [changed] = await queryRows<{ untilMs: number; times: number }>(
        manager,
        `UPDATE portals.portals SET state = 'suspended', suspended_reason = $2, updated_at = now(),
           resuming_since = NULL,
           suspended_times = suspended_times + 1,
           suspended_until = clock_timestamp()
             + make_interval(secs => ($3::float8[])[least(suspended_times + 1, cardinality($3::float8[]))])
         WHERE member_id = $1 AND (state = 'installed' OR (state = 'suspended' AND suspended_until = $4::timestamptz))
         RETURNING extract(epoch FROM suspended_until)::float8 * 1000 AS "untilMs", suspended_times AS times`,
        [memberId, reason, pausesMs.map((ms) => ms / 1_000), lease ?? null],
      );
      if (!changed) return undefined;
      if (reason === 'PAYMENT_REQUIRED' || reason === 'ACCESS_DENIED') {
        await new EventGaps(manager).begin(memberId, reason);
      }
      await notify(manager, 'portals', memberId);
      return changed;
    });
    if (row) {
      suspended.inc({ reason });
      const nextTryAt = new Date(row.untilMs).toISOString();
      this.log.warn(
        { event: 'portal.suspended', memberId, reason, times: row.times, nextTryAt },
        'the portal is suspended',
      );
    }
    return new PortalSuspendedError(
      memberId,
      reason,
      pausesMs[Math.min(row?.times ?? 1, pausesMs.length) - 1] ?? 0,
      cause,
    );
  }

  /**
   * Ends a suspension by an operator: the portal is called again and is `resuming` until its first response, which may
   * suspend it again. @returns false when it was not suspended
   */
  async resume(memberId: string): Promise<boolean> {
    this.leases.delete(memberId);
    return await this.end(memberId, { isProved: false }, 'a suspended portal was resumed by an operator');
  }

  /** The portal was read as `resuming`. */
  noteResuming(memberId: string): void {
    this.resuming.set(memberId, true);
  }

  /** The portal was read as `needs-webhook`: the webhook may be valid again, for example together with its user. */
  noteWithoutWebhook(memberId: string): void {
    this.withoutWebhook.set(memberId, true);
  }

  /**
   * Sets `needs-webhook`: only another webhook helps. For a portal with an application the same error concerns a token.
   */
  private async askForWebhook(memberId: string): Promise<void> {
    const changed = await inTransaction(this.dataSource, async (manager) => {
      const count = await countChanged(
        manager,
        `UPDATE portals.portals SET state = 'needs-webhook', suspended_reason = NULL, suspended_until = NULL,
           suspended_times = 0, resuming_since = NULL, updated_at = now()
         WHERE member_id = $1 AND state IN ('installed', 'suspended')
           AND EXISTS (SELECT FROM portals.credentials c WHERE c.member_id = $1 AND c.kind = 'webhook')`,
        [memberId],
      );
      if (count > 0) await notify(manager, 'portals', memberId);
      return count > 0;
    });
    if (changed)
      this.log.warn(
        { event: 'portal.needs_webhook', memberId },
        'the portal rejects its incoming webhook: create another one there',
      );
  }

  private async hasWebhookAgain(memberId: string): Promise<void> {
    this.withoutWebhook.delete(memberId);
    const changed = await inTransaction(this.dataSource, async (manager) => {
      const count = await countChanged(
        manager,
        `UPDATE portals.portals SET state = 'installed', updated_at = now()
         WHERE member_id = $1 AND state = 'needs-webhook'`,
        [memberId],
      );
      if (count > 0) await notify(manager, 'portals', memberId);
      return count > 0;
    });
    if (changed) this.log.info({ memberId }, 'the portal accepts its incoming webhook again');
  }

  private async lift(memberId: string): Promise<void> {
    if (this.withoutWebhook.has(memberId)) await this.hasWebhookAgain(memberId);
    if (this.resuming.has(memberId)) await this.hasAnswered(memberId);
    const lease = this.leases.get(memberId);
    if (!lease) return;
    await this.end(memberId, { isProved: true, until: lease }, 'a suspended portal works again');
    this.leases.delete(memberId);
  }

  private async hasAnswered(memberId: string): Promise<void> {
    this.resuming.delete(memberId);
    const count = await countChanged(
      this.dataSource,
      `UPDATE portals.portals SET resuming_since = NULL, updated_at = now()
       WHERE member_id = $1 AND state = 'installed' AND resuming_since IS NOT NULL`,
      [memberId],
    );
    if (count > 0) this.log.info({ memberId }, 'a resumed portal has responded');
  }

  /** `until`: only while the row still has it. */
  private async end(
    memberId: string,
    { isProved, until }: { isProved: boolean; until?: string },
    message: string,
  ): Promise<boolean> {
    const ended = await inTransaction(this.dataSource, async (manager) => {
      const count = await countChanged(
        manager,
        `UPDATE portals.portals SET state = 'installed', suspended_reason = NULL, suspended_until = NULL,
           suspended_times = 0, updated_at = now(), resuming_since = CASE WHEN $3 THEN NULL ELSE clock_timestamp() END
         WHERE member_id = $1 AND state = 'suspended' AND suspended_until = coalesce($2::timestamptz, suspended_until)`,
        [memberId, until ?? null, isProved],
      );
      if (count > 0) {
        await wakeEventBindingAttempts(manager, memberId);
        await notify(manager, 'portals', memberId);
      }
      return count > 0;
    });
    if (ended) this.log.info({ memberId }, message);
    return ended;
  }
}

function formatDelay(ms: number): string {
  const minutes = Math.ceil(Math.max(ms, 0) / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/**
 * Errors with which a portal rejects every request, and the delay until the first probe in milliseconds
 * (`_includes/system-errors.md`, `settings/oauth/error-codes.md`).
 */
const FIRST_PAUSE_MS = {
  /** A manual block: only Bitrix24's support removes it. */
  OVERLOAD_LIMIT: 10 * MINUTE,
  /** Also the response of a portal that is closed for maintenance. */
  PORTAL_DELETED: 2 * MINUTE,
  /** The application's paid period is over. */
  PAYMENT_REQUIRED: HOUR,
  /** REST is not part of the portal's plan. */
  ACCESS_DENIED: HOUR,
} as const;

type SuspensionReason = keyof typeof FIRST_PAUSE_MS;

// A series that begins with its first suspension has no increase for it.
for (const reason of Object.keys(FIRST_PAUSE_MS)) suspended.inc({ reason }, 0);

const MAX_PAUSE_MS = 6 * HOUR;

/** The delay until probe number `failures + 1`, doubling up to six hours. */
function suspensionMs(reason: SuspensionReason, failures: number): number {
  return Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS[reason] * 2 ** Math.min(failures, 20));
}

/** The reason to suspend the portal after this request, if there is one. */
function suspensionReason(outcome: RequestOutcome): SuspensionReason | undefined {
  if (outcome.ok) return undefined;
  const { code, errorClass } = outcome.error;
  // For a single item it is no reason.
  if (code === 'ACCESS_DENIED' && errorClass !== 'plan') return undefined;
  return isReason(code) ? code : undefined;
}

/** Errors for an address that is not, or no longer, a webhook of the portal (`error-codes.md`). */
const WEBHOOK_REJECTIONS = ['NO_AUTH_FOUND', 'INVALID_CREDENTIALS'];

/** Whether the portal does not know the caller; if that is a webhook, it was deleted. */
function rejectsWebhook(outcome: RequestOutcome): boolean {
  return !outcome.ok && WEBHOOK_REJECTIONS.includes(outcome.error.code.toUpperCase());
}

/** Whether the portal works: a result, or an error that concerns the request. */
function isServed(outcome: RequestOutcome): boolean {
  if (outcome.ok) return true;
  const { recovery, httpStatus = 0, code } = outcome.error;
  return recovery === 'never' && httpStatus >= 400 && httpStatus < 500 && !isReason(code);
}

function isReason(code: string): code is SuspensionReason {
  return Object.hasOwn(FIRST_PAUSE_MS, code);
}
