import type { RequestOutcome } from '@relay/bitrix24';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/**
 * Refusals of everything, whatever is asked, and how long until the next try (`_includes/system-errors.md`,
 * `settings/oauth/error-codes.md`). Milliseconds.
 */
const firstPauseMs = {
  /** A manual block: only Bitrix24's support takes it off. */
  OVERLOAD_LIMIT: 10 * MINUTE,
  /** Named for deletion, but also what a portal answers that is closed for maintenance. */
  PORTAL_DELETED: 2 * MINUTE,
  /** The application's paid period is over. */
  PAYMENT_REQUIRED: HOUR,
  /** REST is not part of the portal's plan. */
  ACCESS_DENIED: HOUR,
} as const;

export type SuspensionReason = keyof typeof firstPauseMs;

const MAX_PAUSE_MS = 6 * HOUR;

/** Until try number `failures + 1`, doubling up to six hours. */
export function suspensionMs(reason: SuspensionReason, failures: number): number {
  return Math.min(MAX_PAUSE_MS, firstPauseMs[reason] * 2 ** Math.min(failures, 20));
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
const WEBHOOK_REFUSALS = ['NO_AUTH_FOUND', 'INVALID_CREDENTIALS'];

/** Whether the portal does not know who asked; where that is a webhook, it is gone. */
export function refusesWebhook(outcome: RequestOutcome): boolean {
  return !outcome.ok && WEBHOOK_REFUSALS.includes(outcome.error.code.toUpperCase());
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
