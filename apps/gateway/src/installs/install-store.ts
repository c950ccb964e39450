import { Inject, Injectable } from '@nestjs/common';
import { Bitrix24Error, type TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import type { Log } from '@relay/platform';
import { PortalCache, PortalError, PortalRepository } from '@relay/portals';
import { setTimeout as pause } from 'node:timers/promises';
import { LOG } from '../tokens.js';

const STORE_PAUSES_MS = [200, 1_000, 3_000];

/** What came with a pair; an event brings no more than its portal. */
export type AppliedClaim = Pick<InstallClaim, 'applicationToken' | 'language'>;

/**
 * Stores what the OAuth server has confirmed. The proof is used up, and what it was exchanged for is nowhere but here:
 * one failure of the database must not lose it. What is stored is known in this process at once.
 */
@Injectable()
export class InstallStore {
  constructor(
    private readonly portalRepository: PortalRepository,
    private readonly portalCache: PortalCache,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** @throws PortalError ENDPOINT_NOT_ALLOWED; what the database says when it has been away for seconds */
  async install(grant: TokenGrant, claim: AppliedClaim): Promise<void> {
    await this.persist(grant.memberId, () => this.portalRepository.install(grant, claim));
  }

  /** As `install`, unless the portal is known meanwhile. @returns whether it was not */
  async installUnknown(grant: TokenGrant, claim: Pick<AppliedClaim, 'language'>): Promise<boolean> {
    return this.persist(grant.memberId, () => this.portalRepository.installUnknown(grant, claim));
  }

  /** @throws as `install`, and Bitrix24Error NOT_INSTALLED */
  async reauthorize(grant: TokenGrant): Promise<void> {
    await this.persist(grant.memberId, () => this.portalRepository.reauthorize(grant));
  }

  async uninstall(memberId: string, options: { clean: boolean }): Promise<void> {
    await this.portalRepository.uninstall(memberId, options);
    // Its last events may come in the moment before the announcement of it.
    this.portalCache.expire(memberId);
  }

  private async persist<T>(memberId: string, store: () => Promise<T>): Promise<T> {
    try {
      return await this.patiently(memberId, store);
    } finally {
      // Events may come before the answer to this request has arrived.
      this.portalCache.expire(memberId);
    }
  }

  private async patiently<T>(memberId: string, store: () => Promise<T>): Promise<T> {
    for (const pauseMs of STORE_PAUSES_MS) {
      try {
        return await store();
      } catch (error) {
        // Ours say that it would be the same again.
        if (error instanceof PortalError || error instanceof Bitrix24Error) throw error;
        this.log.warn({ memberId, err: error }, 'an install could not be stored yet; trying again');
        await pause(pauseMs);
      }
    }
    return store();
  }
}
