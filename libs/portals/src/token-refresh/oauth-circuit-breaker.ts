import { OAuthError, type OAuthServer, type TokenGrant } from '@relay/bitrix24';
import { BrokenCircuitError, circuitBreaker, ConsecutiveBreaker, handleType } from 'cockatiel';

const DEFAULT_PAUSE_MS = 5_000;

/**
 * Circuit breaker that opens for `pauseMs` after a timeout of the OAuth server. While the server hangs, each refresh
 * would occupy the semaphore for the whole timeout, and all other portals would queue behind it; an open circuit fails
 * fast.
 */
export class OAuthCircuitBreaker {
  private readonly breaker;
  private lastTimeout: OAuthError | undefined;

  constructor(
    private readonly oauth: Pick<OAuthServer, 'refresh'>,
    pauseMs = DEFAULT_PAUSE_MS,
  ) {
    const isTimeout = handleType(OAuthError, (error) => error.code === 'TIMEOUT');
    this.breaker = circuitBreaker(isTimeout, { halfOpenAfter: pauseMs, breaker: new ConsecutiveBreaker(1) });
    this.breaker.onBreak((reason) => {
      if ('error' in reason && reason.error instanceof OAuthError) this.lastTimeout = reason.error;
    });
  }

  /** @throws OAuthError; while open the one that opened it, without consuming the refresh token */
  async refresh(refreshToken: string): Promise<TokenGrant> {
    try {
      return await this.breaker.execute(() => this.oauth.refresh(refreshToken));
    } catch (error) {
      throw error instanceof BrokenCircuitError ? this.lastTimeout : error;
    }
  }
}
