import { RestError, SYSTEM_ERRORS } from '../protocol/rest-error.js';

export const SUSPENSION_REASONS = ['overload', 'deleted', 'denied', 'payment'] as const;

/** Why a portal rejects all calls, until the suspension is lifted. */
export type SuspensionReason = (typeof SUSPENSION_REASONS)[number];

/** The REST error of every call (settings/oauth/error-codes.md; the others are system errors). */
const REST_ERRORS: Record<SuspensionReason, RestError> = {
  overload: SYSTEM_ERRORS.overload,
  deleted: SYSTEM_ERRORS.deleted,
  denied: SYSTEM_ERRORS.denied,
  payment: new RestError('PAYMENT_REQUIRED', 'Payment required', 402),
};
/** The text for a webhook differs. */
const WEBHOOK_DENIED = new RestError('ACCESS_DENIED', 'REST is available only by subscription', 401);

/**
 * The error of the OAuth server (settings/oauth/error-codes.md). A block of REST or a wrong plan does not affect it; at
 * a deleted portal the application is not installed.
 */
const OAUTH_ERRORS: Partial<Record<SuspensionReason, RestError>> = {
  deleted: new RestError('invalid_client', 'Application is not installed', 401),
  payment: REST_ERRORS.payment,
};

export function restErrorOf(reason: SuspensionReason | null, isWebhook: boolean): RestError | undefined {
  if (reason === 'denied' && isWebhook) return WEBHOOK_DENIED;
  return reason === null ? undefined : REST_ERRORS[reason];
}

export function oauthErrorOf(reason: SuspensionReason | null): RestError | undefined {
  return reason === null ? undefined : OAUTH_ERRORS[reason];
}
