import { OAuthError, type OAuthServer, type TokenGrant } from '@relay/bitrix24';

const DEFAULT_PAUSE_MS = 5_000;

/**
 * The OAuth server, left alone for a moment after it did not answer in time. While it hangs, each renewal would wait for
 * it as long as it may, a few at once, and all other portals behind those; so most of them learn at once that it is away.
 */
export class OAuthCircuitBreaker {
  private open: { untilMs: number; error: OAuthError } | undefined;

  constructor(
    private readonly oauth: Pick<OAuthServer, 'refresh'>,
    private readonly pauseMs = DEFAULT_PAUSE_MS,
  ) {}

  /** @throws OAuthError; in the pause that of the last time, and the refresh token is not used up */
  async refresh(refreshToken: string): Promise<TokenGrant> {
    if (this.open && performance.now() < this.open.untilMs) throw this.open.error;
    try {
      const grant = await this.oauth.refresh(refreshToken);
      this.open = undefined;
      return grant;
    } catch (error) {
      if (error instanceof OAuthError && error.code === 'TIMEOUT') {
        this.open = { untilMs: performance.now() + this.pauseMs, error };
      }
      throw error;
    }
  }
}
