import { Inject, Injectable } from '@nestjs/common';
import { OAuthError, type OAuthServer, type TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import { counter, type Log } from '@relay/platform';
import { PendingInstalls, PortalRegistry } from '@relay/portals';
import { Refusal } from '../http/refusal.js';
import { LOG, OAUTH_SERVER } from '../tokens.js';
import { InstallCompletion } from './install-completion.js';

const installs = counter({
  name: 'relay_gateway_installs_total',
  help: 'Claimed installs, by outcome.',
  labelNames: ['outcome'],
});

/** Anyone may post a claim, and each costs a call to the OAuth server, which blocks who asks too much. */
const claimsAtOnce = 8;

/**
 * An install is a claim until the OAuth server has confirmed it: the claim's refresh token is exchanged there, and
 * the answer's member must be the one claimed. The answer's endpoint is the one stored (settings/oauth/).
 */
@Injectable()
export class Installer {
  private claimsInHand = 0;

  constructor(
    @Inject(OAUTH_SERVER) private readonly oauth: OAuthServer | undefined,
    @Inject(LOG) private readonly log: Log,
    private readonly registry: PortalRegistry,
    private readonly pending: PendingInstalls,
    private readonly completion: InstallCompletion,
  ) {}

  /**
   * @throws Refusal 401 when the claim is not confirmed, 503 when it cannot be checked now; it is then kept, sealed,
   * and tried again
   */
  async install(claim: InstallClaim): Promise<void> {
    if (this.oauth === undefined) return this.keep(claim, 'no-client-id');
    if (this.claimsInHand >= claimsAtOnce) return this.keep(claim, 'too-many-installs');
    this.claimsInHand += 1;
    try {
      // The exchange uses the refresh token up: without a database to keep its answer it must not begin.
      await this.registry.requireDatabase(claim.memberId);
      await this.confirm(claim);
    } catch (error) {
      // `confirm` throws it only when there was no verdict on the claim.
      if (!(error instanceof OAuthError)) throw error;
      await this.keep(claim, error.unreachable ? 'oauth-unreachable' : 'keys-refused', error);
    } finally {
      this.claimsInHand -= 1;
    }
  }

  private async keep(claim: InstallClaim, reason: string, cause?: Error): Promise<never> {
    await this.pending.keep(claim);
    installs.inc({ outcome: 'kept' });
    throw new Refusal(503, reason, { cause });
  }

  /** @throws OAuthError when there is no verdict: the server is away, or refuses our keys; Refusal 401 when it does not confirm */
  async confirm(claim: InstallClaim): Promise<void> {
    const grant = await this.exchange(claim);
    if (grant.memberId !== claim.memberId) {
      installs.inc({ outcome: 'refused' });
      this.log.warn(
        { claimed: claim.memberId, confirmed: grant.memberId },
        'an install claimed to be another portal',
      );
      throw new Refusal(401, 'not-confirmed');
    }
    await this.completion.complete(grant, claim);
    installs.inc({ outcome: 'confirmed' });
  }

  private async exchange({ refreshToken }: InstallClaim): Promise<TokenGrant> {
    if (this.oauth === undefined) throw new Refusal(503, 'no-client-id');
    try {
      return await this.oauth.refresh(refreshToken);
    } catch (error) {
      if (!(error instanceof OAuthError) || error.unreachable) throw error;
      if (refusesOurKeys(error)) {
        this.log.error(
          { code: error.code },
          'the OAuth server refuses B24_CLIENT_ID and B24_CLIENT_SECRET: compare them with the application in Bitrix24',
        );
        throw error;
      }
      installs.inc({ outcome: 'refused' });
      this.log.info({ code: error.code }, 'the OAuth server did not confirm an install');
      throw new Refusal(401, 'not-confirmed', { cause: error });
    }
  }
}

/** settings/oauth/error-codes.md */
function refusesOurKeys({ code }: OAuthError): boolean {
  return ['invalid_client', 'wrong_client'].includes(code.toLowerCase());
}
