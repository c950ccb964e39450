import { Inject, Injectable } from '@nestjs/common';
import type { TokenGrant } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import { hasApplicationToken, type KnownPortal } from '@relay/portals';
import { HandlerBinder } from '../bindings/handler-binder.js';
import { Refusal } from '../http/refusal.js';
import { LOG } from '../tokens.js';
import { Administrators } from './administrators.js';
import { ConfirmedPortals, type SettledClaim } from './confirmed-portals.js';
import { PortalLanguages } from './portal-languages.js';
import { needsAdministrator, type Standing, verdictOn, type Way } from './verdict.js';

/** Carries out what follows from a pair that the OAuth server has confirmed: see `verdictOn`. */
@Injectable()
export class Settlement {
  constructor(
    private readonly confirmed: ConfirmedPortals,
    private readonly binder: HandlerBinder,
    private readonly languages: PortalLanguages,
    private readonly administrators: Administrators,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /**
   * Resolves when what is to be stored is stored, and known in this process; binding the portal's events goes on after.
   * @param portal as it was before the exchange
   * @throws Refusal 401 for a user who must not stand for the portal; then, or on any other error, nothing is stored
   */
  async settle(way: Way, grant: TokenGrant, claim: SettledClaim, portal?: KnownPortal): Promise<void> {
    const { memberId } = grant;
    const standing = standingOf(claim, portal);
    const isAdministrator = needsAdministrator(way, standing)
      ? await this.administrators.has(grant, portal !== undefined)
      : undefined;
    const verdict = verdictOn(way, standing, isAdministrator);
    const fields = { memberId, way, was: standing.state };
    switch (verdict) {
      case 'install':
        await this.confirmed.install(grant, claim);
        this.log.info(fields, 'portal installed');
        this.binder.bindSoon(memberId);
        if (claim.language === undefined) void this.languages.learn(memberId);
        return;
      case 'reauthorize':
        await this.confirmed.reauthorize(grant);
        this.log.info(fields, 'the portal has authorized the application again');
        this.binder.bindSoon(memberId);
        return;
      case 'trust-token':
        return this.trustToken(memberId, claim);
      case 'refuse':
        this.log.info(fields, 'a user who is no administrator cannot authorize the application');
        throw new Refusal(401, 'not-an-administrator');
      case 'nothing':
        return;
    }
  }

  private async trustToken(memberId: string, { applicationToken }: SettledClaim): Promise<void> {
    if (applicationToken !== undefined) {
      await this.confirmed.addApplicationToken(memberId, applicationToken);
    }
    this.log.info(
      { memberId },
      'an install by a user who is no administrator: the stored authorization stays',
    );
    await this.binder.bindAnew(memberId);
  }
}

function standingOf({ applicationToken }: SettledClaim, portal?: KnownPortal): Standing {
  if (portal === undefined) return { state: 'unknown', knowsToken: false };
  // A page of an older portal brings none: what is known stays.
  const knowsToken = applicationToken === undefined || hasApplicationToken(portal, applicationToken);
  return { state: portal.state, knowsToken };
}
