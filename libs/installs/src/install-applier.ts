import { Bitrix24Error, PortalClient, type PortalAccess, type TokenGrant } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import { type KnownPortal, PortalError, PortalRateLimiter, USER_AGENT } from '@relay/portals';
import type { EventBindingRequests } from './event-binding-requests.js';
import {
  InstallRejectedError,
  needsAdministrator,
  portalStatusOf,
  type InstallDecision,
  decideInstall,
  type InstallSource,
} from './install-policy.js';
import { InstallStore, type AppliedClaim } from './install-store.js';

/** Applies a token pair that the OAuth server has confirmed: see `decideInstall`. */
export class InstallApplier {
  constructor(
    private readonly store: InstallStore,
    private readonly bindings: EventBindingRequests,
    private readonly administrators: AdministratorCheck,
    private readonly log: Log,
  ) {}

  /**
   * Resolves when the install is stored, and known in this process; the control plane binds the portal's events.
   * @param portal its state before the token request
   * @returns the applied action, except `reject`
   * @throws InstallRejectedError 401 for a user who may not install; then, or on any other error, nothing is stored
   */
  async apply(
    source: InstallSource,
    grant: TokenGrant,
    claim: AppliedClaim,
    portal?: KnownPortal,
  ): Promise<InstallDecision> {
    const { memberId } = grant;
    const status = portalStatusOf(claim, portal);
    const isAdministrator = needsAdministrator(source, status)
      ? await this.administrators.isAdministrator(grant, portal !== undefined)
      : undefined;
    const decision = decideInstall(source, status, isAdministrator);
    const fields = { memberId, source, was: status.state };
    switch (decision) {
      case 'install':
        await this.store.install(grant, claim);
        this.log.info(fields, 'portal installed');
        await this.bindings.request(memberId);
        break;
      case 'install-without-token':
        // Another install, perhaps an administrator's, can have come since the portal was read.
        if (!(await this.store.installUnknown(grant, { language: claim.language })))
          return this.reject(fields);
        this.log.warn(
          { event: 'install.administrator.missing', ...fields },
          'portal installed by a user who is no administrator: its events are rejected until an administrator opens the application',
        );
        await this.bindings.request(memberId);
        break;
      case 'reauthorize':
        await this.store.reauthorize(grant);
        this.log.info(fields, 'the portal has authorized the application again');
        await this.bindings.request(memberId);
        break;
      case 'reject':
        return this.reject(fields);
      case 'nothing':
        break;
      default:
        decision satisfies never;
    }
    return decision;
  }

  private reject(fields: object): never {
    this.log.info(fields, 'a user who is no administrator cannot authorize the application');
    throw new InstallRejectedError(401, 'not-an-administrator');
  }
}

/** A user waits for the response, in front of a page. */
const TIMEOUT_MS = 15_000;

/** Checks whether a user may install the application for a portal. */
export class AdministratorCheck {
  constructor(
    private readonly allowHosts: readonly string[],
    private readonly rateLimiter: PortalRateLimiter,
  ) {}

  /**
   * Asks the portal, at the address that the OAuth server named, whether the grant belongs to an administrator
   * (`user.admin`, api-reference/common/users/user-admin.md). A portal without this method is trusted.
   * @param isStored whether the portal is stored: then the request counts toward its rate limit
   * @throws Bitrix24Error without a response; PortalError ENDPOINT_NOT_ALLOWED for an address that must not be called
   */
  async isAdministrator(
    { memberId, clientEndpoint, accessToken }: TokenGrant,
    isStored: boolean,
  ): Promise<boolean> {
    if (clientEndpoint === undefined) {
      const message = 'The portal has a private or plain http address: name its host in B24_ALLOW_HOSTS';
      throw new PortalError('ENDPOINT_NOT_ALLOWED', message, { memberId });
    }
    const access: PortalAccess = { kind: 'oauth', endpoint: clientEndpoint, accessToken };
    // Not with the portal's own client: that one has other tokens, and this grant is not stored.
    const tokens = { access: () => Promise.resolve(access), refresh: () => Promise.resolve(access) };
    const client = new PortalClient({
      memberId,
      tokens,
      timeoutMs: TIMEOUT_MS,
      allowHosts: this.allowHosts,
      userAgent: USER_AGENT,
      spanAttributes: { 'relay.member_id': memberId },
      ...(isStored && { rateLimiter: this.rateLimiter.of(memberId) }),
    });
    try {
      return (await client.call('user.admin', {}, { repeatable: true })).result === true;
    } catch (error) {
      if (error instanceof Bitrix24Error && error.code === 'ERROR_METHOD_NOT_FOUND') return true;
      throw error;
    }
  }
}
