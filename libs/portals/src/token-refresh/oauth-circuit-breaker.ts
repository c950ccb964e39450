import { OAuthError, type OAuthServer, type TokenGrant } from '@relay/bitrix24';

const DEFAULT_PAUSE_MS = 5_000;

/**
 * Circuit breaker that opens for `pauseMs` after a timeout of the OAuth server. While the server hangs, each refresh
 * would occupy the semaphore for the whole timeout, and all other portals would queue behind it; an open circuit fails
 * fast.
 */
export class OAuthCircuitBreaker {
  private open: { untilMs: number; error: OAuthError } | undefined;

  constructor(
    private readonly oauth: Pick<OAuthServer, 'refresh'>,
    private readonly pauseMs = DEFAULT_PAUSE_MS,
  ) {}

  /** @throws OAuthError; while open the last one, without consuming the refresh token */
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
