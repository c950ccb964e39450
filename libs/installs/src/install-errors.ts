import type { TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';

/** The OAuth server confirmed a claim, but a later step failed. The refresh token is used up; this error has the new one. */
export class InstallIncompleteError extends Error {
  override readonly name = 'InstallIncompleteError';
  /** Private, because it holds secrets, and a logged error shows all its visible fields. */
  readonly #claim: InstallClaim;

  constructor(claim: InstallClaim, { accessToken, refreshToken, oauthHost }: TokenGrant, cause: unknown) {
    super('A confirmed install could not be applied', { cause });
    this.#claim = { ...claim, accessToken, refreshToken, oauthHost };
  }

  /** The same claim with the new pair, which is an equal proof. */
  get claim(): InstallClaim {
    return this.#claim;
  }
}

/** Why a claim changes nothing. `reason` is a code for the caller, the page and the metric. */
export class InstallRejectedError extends Error {
  override readonly name = 'InstallRejectedError';
  constructor(
    /** 401: not confirmed, or not an administrator's; 503: it cannot be checked now. */
    readonly status: 401 | 503,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(reason, options);
  }
}
