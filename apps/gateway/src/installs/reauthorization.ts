import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Log } from '@relay/platform';
import { ExchangeBudget, PortalCache } from '@relay/portals';
import { Backoff } from '../subscriptions/backoff.js';
import { RequestRejectedError } from '../http/request-rejected-error.js';
import { LOG } from '../tokens.js';
import { sourceOfPortal } from './claim-source.js';
import { type OfferedPair, InstallVerifier } from './install-verifier.js';
import { InstallApplier } from './install-applier.js';

/**
 * Repairs a portal in `needs-reauth` with a token pair from one of its events. One attempt at a time per portal, and a
 * pause that doubles after a failure: a flood of events must not become a flood of token requests, for which the OAuth
 * server would block the application (settings/oauth/auto-renewal.md).
 */
@Injectable()
export class Reauthorization implements OnModuleDestroy {
  private readonly backoff = new Backoff();
  private readonly inHand = new Map<string, Promise<void>>();
  private isStopped = false;

  constructor(
    private readonly portalCache: PortalCache,
    private readonly budget: ExchangeBudget,
    private readonly proof: InstallVerifier,
    private readonly settlement: InstallApplier,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** A running token request returns the only valid pair: it is stored before the database is closed. */
  async onModuleDestroy(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.inHand.values());
  }

  /** Returns at once, because the event must be answered. Its application token must have been verified. */
  enqueue(pair: OfferedPair): void {
    const { memberId } = pair;
    if (this.isStopped || this.inHand.has(memberId) || !this.backoff.isDue(memberId)) return;
    const work = this.attempt(pair).finally(() => this.inHand.delete(memberId));
    this.inHand.set(memberId, work);
  }

  private async attempt(pair: OfferedPair): Promise<void> {
    const { memberId } = pair;
    try {
      const portal = await this.portalCache.find(memberId, { fresh: true });
      if (portal?.state !== 'needs-reauth') return;
      const admission = await this.budget.admit({ ...pair, source: sourceOfPortal(memberId) });
      if (admission === 'refused-before') throw new RequestRejectedError(401, 'not-confirmed');
      // The next event of the portal contains another pair.
      if (admission !== 'admitted') return;
      const grant = await this.proof.exchange(pair);
      await this.settlement.apply('event', grant, {}, portal);
      this.backoff.clear(memberId);
    } catch (error) {
      this.backoff.fail(memberId);
      this.log.warn({ memberId, err: error }, 'an event could not authorize its portal again');
    }
  }
}
