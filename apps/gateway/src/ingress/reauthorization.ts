import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { InstallApplier, InstallRejectedError, InstallVerifier, type OfferedPair } from '@relay/installs';
import { LOG, type Log } from '@relay/platform';
import { PortalCache, sourceOfPortal, TokenRequestBudget } from '@relay/portals';
import { LRUCache } from 'lru-cache';

/**
 * Repairs a portal in `needs-reauth` with a token pair from one of its events. One attempt at a time per portal, and a
 * pause that doubles after a failure: a flood of events must not become a flood of token requests, for which the OAuth
 * server would block the application (settings/oauth/auto-renewal.md).
 */
@Injectable()
export class Reauthorization implements OnModuleDestroy {
  private readonly backoff = new Backoff();
  private readonly inFlight = new Map<string, Promise<void>>();
  private isStopped = false;

  constructor(
    private readonly portalCache: PortalCache,
    private readonly budget: TokenRequestBudget,
    private readonly verifier: InstallVerifier,
    private readonly applier: InstallApplier,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** A running token request returns the only valid pair: it is stored before the database is closed. */
  async onModuleDestroy(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.inFlight.values());
  }

  /** Returns at once, because the event must be answered. Its application token must have been verified. */
  enqueue(pair: OfferedPair): void {
    const { memberId } = pair;
    if (this.isStopped || this.inFlight.has(memberId) || !this.backoff.isDue(memberId)) return;
    const work = this.attempt(pair).finally(() => this.inFlight.delete(memberId));
    this.inFlight.set(memberId, work);
  }

  private async attempt(pair: OfferedPair): Promise<void> {
    const { memberId } = pair;
    try {
      const portal = await this.portalCache.find(memberId, { fresh: true });
      if (portal?.state !== 'needs-reauth') return;
      const admission = await this.budget.admit({ ...pair, source: sourceOfPortal(memberId) });
      if (admission === 'rejected-before') throw new InstallRejectedError(401, 'not-confirmed');
      // The next event of the portal contains another pair.
      if (admission !== 'admitted') return;
      const grant = await this.verifier.exchange(pair);
      await this.applier.apply('event', grant, {}, portal);
      this.backoff.clear(memberId);
    } catch (error) {
      this.backoff.fail(memberId);
      this.log.warn(
        { event: 'install.reauthorization.failed', memberId, err: error },
        'an event could not authorize its portal again',
      );
    }
  }
}

const FIRST_MS = 30_000;
const MAX_MS = 3_600_000;
/** Portals that failed lately; the one that failed first is forgotten beyond it. */
const MAX_PORTALS = 10_000;

/** When each failed portal may be tried again: after 30 s, then doubled each time, an hour at most. */
export class Backoff {
  private readonly failed = new LRUCache<string, { times: number; dueAt: number }>({ max: MAX_PORTALS });

  constructor(private readonly now: () => number = Date.now) {}

  isDue(memberId: string): boolean {
    return this.now() >= (this.failed.get(memberId)?.dueAt ?? 0);
  }

  fail(memberId: string): void {
    const times = (this.failed.get(memberId)?.times ?? 0) + 1;
    const waitMs = Math.min(MAX_MS, FIRST_MS * 2 ** (times - 1));
    this.failed.set(memberId, { times, dueAt: this.now() + waitMs });
  }

  clear(memberId: string): void {
    this.failed.delete(memberId);
  }
}
