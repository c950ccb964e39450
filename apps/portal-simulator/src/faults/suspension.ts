import { RestError, systemErrors } from '../protocol/rest-error.js';

export const SUSPENSION_REASONS = ['overload', 'deleted', 'denied', 'payment'] as const;

/** Why a whole portal cannot be called until somebody lifts it. */
export type SuspensionReason = (typeof SUSPENSION_REASONS)[number];

/** What REST answers to every call (settings/oauth/error-codes.md; the others are system errors). */
const restRefusals: Record<SuspensionReason, RestError> = {
  overload: systemErrors.overload,
  deleted: systemErrors.deleted,
  denied: systemErrors.denied,
  payment: new RestError('PAYMENT_REQUIRED', 'Payment required', 402),
};
/** A webhook is told of the plan in other words. */
const deniedWebhook = new RestError('ACCESS_DENIED', 'REST is available only by subscription', 401);

/**
 * What the OAuth server answers (settings/oauth/error-codes.md). A block of REST or a plan is nothing to it; at a portal that is
 * gone, the application is not installed.
 */
const oauthRefusals: Partial<Record<SuspensionReason, RestError>> = {
  deleted: new RestError('invalid_client', 'Application is not installed', 401),
  payment: restRefusals.payment,
};

export function restRefusal(reason: SuspensionReason | null, isWebhook: boolean): RestError | undefined {
  if (reason === 'denied' && isWebhook) return deniedWebhook;
  return reason === null ? undefined : restRefusals[reason];
}

export function oauthRefusal(reason: SuspensionReason | null): RestError | undefined {
  return reason === null ? undefined : oauthRefusals[reason];
}
