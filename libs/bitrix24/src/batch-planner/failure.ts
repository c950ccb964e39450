import { Bitrix24Error } from '../errors.js';

/** What the failure of a request as a whole says about its commands and about the other requests. */
export type Failure =
  /** Fewer commands at once may do better. */
  | {
      readonly kind: 'split';
      /** Some of the commands may have been done. */
      readonly maybeDone: boolean;
      /** Their number is the cause, and would be in other requests. */
      readonly tooMany: boolean;
    }
  /** The commands of this request have failed, and fewer of them would too. */
  | { readonly kind: 'request' }
  /** The portal takes no requests now, whatever is in them. */
  | { readonly kind: 'portal' };

/**
 * What one command can do to the request that it is part of: end the portal's process, be refused by a firewall before
 * the portal (whose page is no answer), bring more than can be read.
 */
const SPOILED = new Set(['INTERNAL_SERVER_ERROR', 'ERROR_UNEXPECTED_ANSWER', 'BAD_ANSWER', 'TRANSPORT']);
const BODY_TOO_LARGE = 413;
/** What a gateway says for a portal that takes longer than a request may (`limits.md`). */
const OUT_OF_TIME = new Set([408, 504]);

export function failureOf(error: unknown): Failure {
  // Credentials that cannot be read, an abort, a defect.
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
    // The client has renewed it, and the portal refuses the new one too.
    errorClass === 'expired'
  );
}

/** Whether the answer is more than may be read, whenever it comes. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof Bitrix24Error && (error.detail === 'too-long' || error.detail === 'too-deep');
}

/** Whether less at once may do better, for whoever asks for much without a plan. */
export function isSplittable(error: unknown): boolean {
  return failureOf(error).kind === 'split';
}

/** Commands beyond the limit end so, and so may the whole batch (`settings/how-to-call-rest-api/batch.md`). */
export function isTooLong(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.code === 'ERROR_BATCH_LENGTH_EXCEEDED';
}

/** Of one method, not of the portal (`limits.md`, `_includes/system-errors.md`). */
const OF_METHOD = new Set(['OPERATION_TIME_LIMIT', 'INVALID_CREDENTIALS']);

/** Whether what a lone call threw is the answer to this call, and says nothing of others. */
export function isOwnAnswer(error: unknown): boolean {
  if (error instanceof TypeError) return true;
  if (!(error instanceof Bitrix24Error)) return false;
  return OF_METHOD.has(error.code) || failureOf(error).kind === 'request';
}
