import { RestError } from './rest/rest-error.js';

export const suspensionReasons = ['overload', 'deleted', 'denied', 'payment'] as const;

/** Why a whole portal cannot be called until somebody lifts it. */
export type SuspensionReason = (typeof suspensionReasons)[number];

/** What REST answers to every call (`_includes/system-errors.md`; the last one: settings/oauth/error-codes.md). */
const restRefusals: Record<SuspensionReason, RestError> = {
  overload: new RestError('OVERLOAD_LIMIT', 'REST API is blocked due to overload', 503),
  deleted: new RestError('PORTAL_DELETED', 'Portal was deleted', 500),
  denied: new RestError('ACCESS_DENIED', 'REST API is available only on commercial plans', 403),
  payment: new RestError('PAYMENT_REQUIRED', 'Payment required', 402),
};

/**
 * What the OAuth server answers (settings/oauth/error-codes.md). A block of REST or a plan is nothing to it; at a portal that is
 * gone, the application is not installed.
 */
const oauthRefusals: Partial<Record<SuspensionReason, RestError>> = {
  deleted: new RestError('invalid_client', 'Application is not installed', 401),
  payment: restRefusals.payment,
};

export function restRefusal(reason: SuspensionReason | null): RestError | undefined {
  return reason === null ? undefined : restRefusals[reason];
}

export function oauthRefusal(reason: SuspensionReason | null): RestError | undefined {
  return reason === null ? undefined : oauthRefusals[reason];
}
