import { Inject, Injectable } from '@nestjs/common';
import type { TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import type { Log } from '@relay/platform';
import { PortalDirectory, PortalError, PortalRegistry } from '@relay/portals';
import { setTimeout as pause } from 'node:timers/promises';
import { HandlerBinder } from '../bindings/handler-binder.js';
import { LOG } from '../tokens.js';
import { PortalLanguages } from './portal-languages.js';

const storePausesMs = [200, 1_000, 3_000];

/** What follows when the OAuth server has confirmed an install: the portal is stored, its events are bound. */
@Injectable()
export class InstallCompletion {
  constructor(
    private readonly registry: PortalRegistry,
    private readonly directory: PortalDirectory,
    private readonly binder: HandlerBinder,
    private readonly languages: PortalLanguages,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Resolves when the portal is stored, and known in this process; binding its events goes on after. */
  async complete(grant: TokenGrant, claim: InstallClaim): Promise<void> {
    const { memberId } = grant;
    await this.store(grant, claim);
    // Events may come before the answer to this request has arrived.
    this.directory.expire(memberId);
    this.log.info({ memberId, domain: claim.domain }, 'portal installed');
    this.binder.bindSoon(memberId);
    if (claim.language === undefined) void this.languages.learn(memberId);
  }

  /** The claim's proof is used up, and what it was exchanged for is nowhere but here: one failure must not lose it. */
  private async store(grant: TokenGrant, claim: InstallClaim): Promise<void> {
    for (const pauseMs of storePausesMs) {
      try {
        return await this.registry.install(grant, claim);
      } catch (error) {
        if (error instanceof PortalError) throw error;
        this.log.warn(
          { memberId: grant.memberId, err: error },
          'an install could not be stored yet; trying again',
        );
        await pause(pauseMs);
      }
    }
    return this.registry.install(grant, claim);
  }
}
