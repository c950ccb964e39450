import type { RequestOutcome } from '@relay/bitrix24';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/**
 * Errors with which a portal rejects every request, and the delay until the first probe in milliseconds
 * (`_includes/system-errors.md`, `settings/oauth/error-codes.md`).
 */
const FIRST_PAUSE_MS = {
  /** A manual block: only Bitrix24's support removes it. */
  OVERLOAD_LIMIT: 10 * MINUTE,
  /** Also the response of a portal that is closed for maintenance. */
  PORTAL_DELETED: 2 * MINUTE,
  /** The application's paid period is over. */
  PAYMENT_REQUIRED: HOUR,
  /** REST is not part of the portal's plan. */
  ACCESS_DENIED: HOUR,
} as const;

export type SuspensionReason = keyof typeof FIRST_PAUSE_MS;

const MAX_PAUSE_MS = 6 * HOUR;

/** The delay until probe number `failures + 1`, doubling up to six hours. */
export function suspensionMs(reason: SuspensionReason, failures: number): number {
  return Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS[reason] * 2 ** Math.min(failures, 20));
}

/** The reason to suspend the portal after this request, if there is one. */
export function suspensionReason(outcome: RequestOutcome): SuspensionReason | undefined {
  if (outcome.ok) return undefined;
  const { code, errorClass } = outcome.error;
  // For a single item it is no reason.
  if (code === 'ACCESS_DENIED' && errorClass !== 'plan') return undefined;
  return isReason(code) ? code : undefined;
}

/** Errors for an address that is not, or no longer, a webhook of the portal (`error-codes.md`). */
const WEBHOOK_REJECTIONS = ['NO_AUTH_FOUND', 'INVALID_CREDENTIALS'];

/** Whether the portal does not know the caller; if that is a webhook, it was deleted. */
export function refusesWebhook(outcome: RequestOutcome): boolean {
  return !outcome.ok && WEBHOOK_REJECTIONS.includes(outcome.error.code.toUpperCase());
}

/** Whether the portal works: a result, or an error that concerns the request. */
export function isServed(outcome: RequestOutcome): boolean {
  if (outcome.ok) return true;
  const { recovery, httpStatus = 0, code } = outcome.error;
  return recovery === 'never' && httpStatus >= 400 && httpStatus < 500 && !isReason(code);
}

function isReason(code: string): code is SuspensionReason {
  return Object.hasOwn(FIRST_PAUSE_MS, code);
}
