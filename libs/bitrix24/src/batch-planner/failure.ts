import { Bitrix24Error } from '../rest/errors.js';

/** Scope of a failed request: what it implies for its commands and for the other requests. */
export type Failure =
  /** Fewer commands per request may succeed. */
  | {
      readonly kind: 'split';
      /** Some of the commands may have been executed. */
      readonly maybeDone: boolean;
      /** The number of commands is the cause, so other requests of this size fail, too. */
      readonly tooMany: boolean;
    }
  /** The commands of this request have failed; a smaller request would fail, too. */
  | { readonly kind: 'request' }
  /** The portal accepts no requests at present. */
  | { readonly kind: 'portal' };

/**
 * Failures that one command can cause for its whole request: a crash of the portal's process, a block page of a
 * firewall in front of the portal, a response that is too large.
 */
const SPOILED = new Set(['INTERNAL_SERVER_ERROR', 'ERROR_UNEXPECTED_ANSWER', 'BAD_ANSWER', 'TRANSPORT']);
const BODY_TOO_LARGE = 413;
/** Status of a gateway when the portal exceeds the request timeout (`limits.md`). */
const OUT_OF_TIME = new Set([408, 504]);

export function failureOf(error: unknown): Failure {
  // Unreadable credentials, an abort, a programming error.
  if (!(error instanceof Bitrix24Error)) return { kind: 'portal' };
  const { code, httpStatus = 0 } = error;
  if (isTooLong(error)) return { kind: 'split', maybeDone: false, tooMany: true };
  if (httpStatus === BODY_TOO_LARGE) return { kind: 'split', maybeDone: false, tooMany: false };
  if (isOfPortal(error)) return { kind: 'portal' };
  if (code === 'TIMEOUT' || OUT_OF_TIME.has(httpStatus)) {
    return { kind: 'split', maybeDone: true, tooMany: true };
  }
  return SPOILED.has(code) ? { kind: 'split', maybeDone: true, tooMany: false } : { kind: 'request' };
}

function isOfPortal({ errorClass, recovery, delivered }: Bitrix24Error): boolean {
  return (
    recovery === 'wait' ||
    recovery === 'reauthorize' ||
    delivered === 'no' ||
    // The client has refreshed the token, and the portal rejects the new one, too.
    errorClass === 'expired'
  );
}

/** Whether the response exceeds the size or depth limit, which a retry does not change. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof Bitrix24Error && (error.detail === 'too-long' || error.detail === 'too-deep');
}

/** Whether a smaller request may succeed; for callers that request many items without a plan. */
export function isSplittable(error: unknown): boolean {
  return failureOf(error).kind === 'split';
}

/**
 * Commands above the limit fail with this code, and so may the whole batch (`settings/how-to-call-rest-api/batch.md`).
 */
export function isTooLong(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.code === 'ERROR_BATCH_LENGTH_EXCEEDED';
}

/** Errors of one method, not of the portal (`limits.md`, `_includes/system-errors.md`). */
const OF_METHOD = new Set(['OPERATION_TIME_LIMIT', 'INVALID_CREDENTIALS']);

/** Whether the error of a single `call` concerns this call only. */
export function isOwnError(error: unknown): boolean {
  if (error instanceof TypeError) return true;
  if (!(error instanceof Bitrix24Error)) return false;
  return OF_METHOD.has(error.code) || failureOf(error).kind === 'request';
}
