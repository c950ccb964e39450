import { OAuthError, type OAuthServers, type TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import type { Log } from '@relay/platform';
import { InstallRejectedError } from './install-policy.js';

/** The refresh token to exchange, and the trusted OAuth server that the claim names. */
export type OfferedPair = Pick<InstallClaim, 'memberId' | 'refreshToken' | 'oauthHost'>;

/** The only proof of a refresh token's owner: a configured OAuth server exchanges it. */
export class InstallVerifier {
  constructor(
    private readonly oauth: OAuthServers | undefined,
    private readonly log: Log,
  ) {}

  /** Without client keys no claim can be verified. */
  get isPossible(): boolean {
    return this.oauth !== undefined;
  }

  /**
   * Consumes the refresh token.
   * @returns a pair of the claimed portal: the old pair is invalid, and only this process has the new one
   * @throws OAuthError without a decision: the server is down, or rejects our keys; InstallRejectedError 401 if the server
   *   does not confirm, 503 without keys
   */
  async exchange({ memberId, refreshToken, oauthHost }: OfferedPair): Promise<TokenGrant> {
    const grant = await this.ask(refreshToken, oauthHost);
    if (grant.memberId === memberId) return grant;
    this.log.warn(
      { event: 'install.pair.foreign', claimed: memberId, confirmed: grant.memberId },
      'a token pair is that of another portal',
    );
    throw new InstallRejectedError(401, 'not-confirmed');
  }

  private async ask(refreshToken: string, oauthHost?: string): Promise<TokenGrant> {
    if (this.oauth === undefined) throw new InstallRejectedError(503, 'no-client-id');
    try {
      return await this.oauth.refresh(refreshToken, oauthHost);
    } catch (error) {
      if (!(error instanceof OAuthError) || error.unreachable) throw error;
      if (rejectsOurKeys(error)) {
        this.log.error(
          { event: 'oauth.keys.refused', code: error.code },
          'the OAuth server rejects B24_CLIENT_ID and B24_CLIENT_SECRET; compare both with the application in Bitrix24',
        );
        throw error;
      }
      this.log.info({ code: error.code }, 'the OAuth server did not confirm a token pair');
      throw new InstallRejectedError(401, 'not-confirmed', { cause: error });
    }
  }
}

/** settings/oauth/error-codes.md */
function rejectsOurKeys({ code }: OAuthError): boolean {
  return ['invalid_client', 'wrong_client'].includes(code.toLowerCase());
}
