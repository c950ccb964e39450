import { OAuthError, type OAuthServer, type TokenGrant } from '@relay/bitrix24';

const usualPauseMs = 5_000;

/**
 * The OAuth server, left alone for a moment after it did not answer in time. While it hangs, each renewal would wait for
 * it as long as it may, a few at once, and all other portals behind those; so most of them learn at once that it is away.
 */
export class PatientOAuth {
  #away: { untilMs: number; error: OAuthError } | undefined;

  constructor(
    private readonly oauth: Pick<OAuthServer, 'refresh'>,
    private readonly pauseMs = usualPauseMs,
  ) {}

  /** @throws OAuthError; in the pause that of the last time, and the refresh token is not used up */
  async refresh(refreshToken: string): Promise<TokenGrant> {
    if (this.#away && performance.now() < this.#away.untilMs) throw this.#away.error;
    try {
      const grant = await this.oauth.refresh(refreshToken);
      this.#away = undefined;
      return grant;
    } catch (error) {
      if (error instanceof OAuthError && error.code === 'TIMEOUT') {
        this.#away = { untilMs: performance.now() + this.pauseMs, error };
      }
      throw error;
    }
  }
}
