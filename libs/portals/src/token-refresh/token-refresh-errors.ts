import { Bitrix24Error } from '@relay/bitrix24';
import { PortalError } from '../errors.js';

export function needsReauth(memberId: string, cause?: unknown): PortalError {
  const message = 'The portal has to authorize the application again: open it there, or install it anew';
  return new PortalError('NEEDS_REAUTH', message, { memberId, cause });
}

export function wrongMember(memberId: string): PortalError {
  return new PortalError('WRONG_MEMBER', 'The OAuth server renewed the token of another portal', {
    memberId,
  });
}

export function noOAuth(memberId: string): PortalError {
  const message = 'A token has expired, and without B24_CLIENT_ID and B24_CLIENT_SECRET it cannot be renewed';
  return new PortalError('NO_OAUTH', message, { memberId });
}

/** The portal rejects recently granted tokens as expired (`refresh-rate.ts`). */
export function refreshedTooOften(memberId: string, retryAfterMs: number): Bitrix24Error {
  return new Bitrix24Error('EXPIRED_TOKEN', { memberId, recovery: 'wait', retryAfterMs, delivered: 'yes' });
}

/**
 * The portal responds 302 at its stored address, and neither the OAuth server nor the operator names another one: its
 * tokens are sent nowhere else (`settings/how-to-call-rest-api/change-domen.md`).
 */
export function unconfirmedAddress(memberId: string, retryAfterMs?: number): Bitrix24Error {
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new Bitrix24Error('REDIRECT', { memberId, recovery: 'reauthorize', ...wait });
}
