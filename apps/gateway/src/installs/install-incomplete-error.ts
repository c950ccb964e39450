import type { TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';

/** The OAuth server has confirmed a claim, and what had to follow failed: its proof is used up, and a new one is here. */
export class InstallIncompleteError extends Error {
  override readonly name = 'InstallIncompleteError';
  /** Private, for it holds secrets, and whoever logs an error logs all that can be seen of it. */
  readonly #claim: InstallClaim;

  constructor(claim: InstallClaim, { accessToken, refreshToken, oauthHost }: TokenGrant, cause: unknown) {
    super('A confirmed install could not be settled', { cause });
    this.#claim = { ...claim, accessToken, refreshToken, oauthHost };
  }

  /** The same claim with the pair that its own was exchanged for, as good a proof as that was. */
  get claim(): InstallClaim {
    return this.#claim;
  }
}
