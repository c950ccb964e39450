import type { RequestOutcome } from '@relay/bitrix24';

const minute = 60_000;
const hour = 60 * minute;

/**
 * Refusals of everything, whatever is asked, and how long until the next try (`_includes/system-errors.md`,
 * `settings/oauth/error-codes.md`). Milliseconds.
 */
const firstPauseMs = {
  /** A manual block: only Bitrix24's support takes it off. */
  OVERLOAD_LIMIT: 10 * minute,
  /** Named for deletion, but also what a portal answers that is closed for maintenance. */
  PORTAL_DELETED: 2 * minute,
  /** The application's paid period is over. */
  PAYMENT_REQUIRED: hour,
  /** REST is not part of the portal's plan. */
  ACCESS_DENIED: hour,
} as const;

export type SuspensionReason = keyof typeof firstPauseMs;

const longestPauseMs = 6 * hour;

/** Until try number `failures + 1`, doubling up to six hours. */
export function suspensionMs(reason: SuspensionReason, failures: number): number {
  return Math.min(longestPauseMs, firstPauseMs[reason] * 2 ** Math.min(failures, 20));
}

/** Why the portal should be left alone after this request; undefined when it need not. */
export function suspensionReason(outcome: RequestOutcome): SuspensionReason | undefined {
  if (outcome.ok) return undefined;
  const { code, errorClass } = outcome.error;
  // As the refusal of one item it is no reason.
  if (code === 'ACCESS_DENIED' && errorClass !== 'plan') return undefined;
  return isReason(code) ? code : undefined;
}

/** What a portal answers to an address that is no webhook of it, or no longer (`error-codes.md`). */
const webhookRefusals = ['NO_AUTH_FOUND', 'INVALID_CREDENTIALS'];

/** Whether the portal does not know who asked; where that is a webhook, it is gone. */
export function refusesWebhook(outcome: RequestOutcome): boolean {
  return !outcome.ok && webhookRefusals.includes(outcome.error.code.toUpperCase());
}

/** Whether the portal has done its work again: an answer, or a refusal that is about what was asked. */
export function isServed(outcome: RequestOutcome): boolean {
  if (outcome.ok) return true;
  const { recovery, httpStatus = 0, code } = outcome.error;
  return recovery === 'never' && httpStatus >= 400 && httpStatus < 500 && !isReason(code);
}

function isReason(code: string): code is SuspensionReason {
  return Object.hasOwn(firstPauseMs, code);
}
