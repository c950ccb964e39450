import { Bitrix24Error, type Recovery } from '@relay/bitrix24';

/** The recovery of each code. */
const RECOVERIES = {
  /** Nothing usable is cached and the database is unavailable. */
  DIRECTORY_UNAVAILABLE: 'retry',
  /** The refresh token is invalid. */
  NEEDS_REAUTH: 'reauthorize',
  /** The OAuth server returned tokens of another portal. */
  WRONG_MEMBER: 'reauthorize',
  /** B24_CLIENT_ID and B24_CLIENT_SECRET are not set. */
  NO_OAUTH: 'wait',
  /** Sealed with a key that TOKEN_KEYS no longer names. */
  UNKNOWN_KEY: 'wait',
  /** Damaged, or copied from another portal's row. */
  BROKEN_SEAL: 'reauthorize',
  /** Another process kept the portal's credentials locked for too long. */
  CREDENTIALS_BUSY: 'retry',
  /** Too many unconfirmed installs are waiting already. */
  PENDING_FULL: 'retry',
  /** What an operator would set for a consumer does not fit that consumer's schema. */
  BAD_SETTINGS: 'never',
  /** The OAuth server names an address that is private or plain http, and B24_ALLOW_HOSTS does not allow it. */
  ENDPOINT_NOT_ALLOWED: 'never',
  /** A webhook pair is of another host than the portal that it is to belong to. */
  OTHER_HOST: 'never',
} as const satisfies Record<string, Recovery>;

export type PortalErrorCode = keyof typeof RECOVERIES;

/**
 * Every error of this lib, except `Bitrix24Error` NOT_INSTALLED, the REST client's code for a portal without
 * credentials. Message and fields name the portal and the remedy, never a secret.
 */
export class PortalError extends Error {
  override readonly name: string = 'PortalError';
  readonly recovery: Recovery;
  readonly memberId?: string;

  constructor(
    readonly code: PortalErrorCode,
    message: string,
    options: { memberId?: string; cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.recovery = RECOVERIES[code];
    if (options.memberId !== undefined) this.memberId = options.memberId;
  }
}

/** It is unknown at present whether the portal exists: respond 503, never 401. */
export class PortalStoreUnavailableError extends PortalError {
  override readonly name = 'PortalStoreUnavailableError';

  constructor(memberId: string, cause: unknown) {
    super('DIRECTORY_UNAVAILABLE', 'The portal is not cached and the database cannot be reached', {
      memberId,
      cause,
    });
  }
}

/** The portal is unknown here, or was uninstalled. */
export function notInstalled(memberId: string): Bitrix24Error {
  return new Bitrix24Error('NOT_INSTALLED', { memberId });
}
