import { Bitrix24Error, PortalClient, type PortalAccess, type TokenGrant } from '@relay/bitrix24';
import { PortalError, PortalRateLimiter } from '@relay/portals';

/** A user waits for the response, in front of a page. */
const TIMEOUT_MS = 15_000;

/** Checks whether a user may install the application for a portal. */
export class Administrators {
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
