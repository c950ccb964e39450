import { Inject, Injectable } from '@nestjs/common';
import type { TokenGrant } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { KnownPortal } from '@relay/portals';
import { EventBindingReconciler } from '../subscriptions/event-binding-reconciler.js';
import { RequestRejectedError } from '../http/request-rejected-error.js';
import { LOG } from '../tokens.js';
import { Administrators } from './administrators.js';
import { InstallStore, type AppliedClaim } from './install-store.js';
import { PortalLanguages } from './portal-languages.js';
import { portalStatusOf } from './portal-status.js';
import {
  needsAdministrator,
  type InstallDecision,
  decideInstall,
  type InstallSource,
} from './install-policy.js';

/** Applies a token pair that the OAuth server has confirmed: see `decideInstall`. */
@Injectable()
export class InstallApplier {
  constructor(
    private readonly confirmed: InstallStore,
    private readonly binder: EventBindingReconciler,
    private readonly languages: PortalLanguages,
    private readonly administrators: Administrators,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /**
   * Resolves when the install is stored, and known in this process; the binding of the portal's events continues after.
   * @param portal its state before the token request
   * @returns the applied action, except `refuse`
   * @throws RequestRejectedError 401 for a user who may not install; then, or on any other error, nothing is stored
   */
  async apply(
    way: InstallSource,
    grant: TokenGrant,
    claim: AppliedClaim,
    portal?: KnownPortal,
  ): Promise<InstallDecision> {
    const { memberId } = grant;
    const standing = portalStatusOf(claim, portal);
    const isAdministrator = needsAdministrator(way, standing)
      ? await this.administrators.isAdministrator(grant, portal !== undefined)
      : undefined;
    const verdict = decideInstall(way, standing, isAdministrator);
    const fields = { memberId, way, was: standing.state };
    switch (verdict) {
      case 'install':
        await this.confirmed.install(grant, claim);
        this.log.info(fields, 'portal installed');
        this.afterInstall(memberId, claim);
        break;
      case 'install-without-token':
        // Another install, perhaps an administrator's, can have come since the portal was read.
        if (!(await this.confirmed.installUnknown(grant, { language: claim.language })))
          return this.refuse(fields);
        this.log.warn(
          fields,
          'portal installed by a user who is no administrator: its events are believed when one has opened the application',
        );
        this.afterInstall(memberId, claim);
        break;
      case 'reauthorize':
        await this.confirmed.reauthorize(grant);
        this.log.info(fields, 'the portal has authorized the application again');
        this.binder.enqueue(memberId);
        break;
      case 'refuse':
        return this.refuse(fields);
      case 'nothing':
        break;
      default:
        verdict satisfies never;
    }
    return verdict;
  }

  private afterInstall(memberId: string, { language }: AppliedClaim): void {
    this.binder.enqueue(memberId);
    if (language === undefined) void this.languages.learn(memberId);
  }

  private refuse(fields: object): never {
    this.log.info(fields, 'a user who is no administrator cannot authorize the application');
    throw new RequestRejectedError(401, 'not-an-administrator');
  }
}
