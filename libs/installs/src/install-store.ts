import { Bitrix24Error, type TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import type { Log } from '@relay/platform';
import { PortalCache, PortalError, PortalRepository } from '@relay/portals';
import { setTimeout as pause } from 'node:timers/promises';

const STORE_PAUSES_MS = [200, 1_000, 3_000];

/** The data that came with a pair; an event has only its portal. */
export type AppliedClaim = Pick<InstallClaim, 'applicationToken' | 'language'>;

/**
 * Stores confirmed installs. The refresh token of the claim is used up, and only this process has the new pair: one
 * failure of the database must not lose it. A stored install is known in this process at once.
 */
export class InstallStore {
  constructor(
    private readonly portalRepository: PortalRepository,
    private readonly portalCache: PortalCache,
    private readonly log: Log,
  ) {}

  /** @throws PortalError ENDPOINT_NOT_ALLOWED; the database error after some seconds of retries */
  async install(grant: TokenGrant, claim: AppliedClaim): Promise<void> {
    await this.storeWithRetry(grant.memberId, () => this.portalRepository.install(grant, claim));
  }

  /** Like `install`, unless the portal is known meanwhile. @returns whether it was unknown */
  async installUnknown(grant: TokenGrant, claim: Pick<AppliedClaim, 'language'>): Promise<boolean> {
    return this.storeWithRetry(grant.memberId, () => this.portalRepository.installUnknown(grant, claim));
  }

  /** @throws like `install`, and Bitrix24Error NOT_INSTALLED */
  async reauthorize(grant: TokenGrant): Promise<void> {
    await this.storeWithRetry(grant.memberId, () => this.portalRepository.reauthorize(grant));
  }

  async uninstall(memberId: string, options: { clean: boolean }): Promise<void> {
    await this.portalRepository.uninstall(memberId, options);
    // Its last events may arrive just before its notification.
    this.portalCache.expire(memberId);
  }

  private async storeWithRetry<T>(memberId: string, store: () => Promise<T>): Promise<T> {
    try {
      return await this.retry(memberId, store);
    } finally {
      // Events may arrive before the response to this request does.
      this.portalCache.expire(memberId);
    }
  }

  private async retry<T>(memberId: string, store: () => Promise<T>): Promise<T> {
    for (const pauseMs of STORE_PAUSES_MS) {
      try {
        return await store();
      } catch (error) {
        // Our own errors would be the same at the next attempt.
        if (error instanceof PortalError || error instanceof Bitrix24Error) throw error;
        this.log.warn(
          { event: 'install.store.retried', memberId, err: error },
          'an install could not be stored yet; trying again',
        );
        await pause(pauseMs);
      }
    }
    return store();
  }
}
