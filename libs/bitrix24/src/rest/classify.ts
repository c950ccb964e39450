import type { Delivered } from '../http/http-request.js';
import type { ResponseDefect } from '../http/response-reader.js';

/**
 * How to handle an error:
 * - `retry`: retry the same request later, a bounded number of times;
 * - `wait`: the request is fine, the portal accepts no more for now;
 * - `reauthorize`: a person must authorize the application or the webhook again;
 * - `never`: a retry gives the same error.
 *
 * It does not say whether a retry is safe: a write without a response may have been executed.
 */
export type Recovery = 'retry' | 'wait' | 'reauthorize' | 'never';

/**
 * The class of an error:
 * - `throttled`: a limit of the portal or of one method;
 * - `unavailable`: the portal as a whole, for any request: blocked, closed, unpaid or unreachable;
 * - `plan`: the portal's plan does not include REST;
 * - `expired`: the access token has expired and can be refreshed;
 * - `authorization`: the token, its user or the application; a person must fix it;
 * - `moved`: the portal's address, until a trusted source confirms the new one;
 * - `transient`: a failure of the network or the portal, independent of the request;
 * - `permanent`: the request itself.
 */
export type ErrorClass =
  'throttled' | 'unavailable' | 'plan' | 'expired' | 'authorization' | 'moved' | 'transient' | 'permanent';

/** Properties of a failed request besides its code. */
export interface ErrorContext {
  readonly httpStatus?: number | undefined;
  /** The called method. A method without an HTTP status is that of a command that failed inside a batch. */
  readonly method?: string | undefined;
  readonly delivered?: Delivered | undefined;
  /** For `BAD_ANSWER` only. */
  readonly detail?: ResponseDefect | undefined;
}

/**
 * Codes that Bitrix24 returns for any method, and our own codes for missing responses, independent of the HTTP status:
 * portals send the same code with different statuses (`error-codes.md`, `_includes/system-errors.md`, `limits.md`,
 * `settings/how-to-call-rest-api/batch.md`). The README has the same table for people; a spec compares the two.
 */
export const CLASS_OF_CODE: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ['QUERY_LIMIT_EXCEEDED', 'throttled'],
  ['OPERATION_TIME_LIMIT', 'throttled'],

  // Set and removed manually by Bitrix24 staff: more requests only prolong it.
  ['OVERLOAD_LIMIT', 'unavailable'],
  // The portal as a whole accepts no calls: it is unpaid or closed. Pending work can wait longer.
  ['PAYMENT_REQUIRED', 'unavailable'],
  ['WRONG_LICENSE', 'unavailable'],
  // Despite its name also the response of a portal whose public part is closed for maintenance.
  ['PORTAL_DELETED', 'unavailable'],
  // The portal cannot reach the OAuth server to verify the token.
  ['CONNECTION_ERROR', 'unavailable'],
  // Our code, for as long as one of the errors above suspends calls to the portal.
  ['PORTAL_SUSPENDED', 'unavailable'],
  // A property of the portal, not of the request: until its DNS record changes, or the operator allows its host.
  ['BAD_ADDRESS', 'unavailable'],

  // The client refreshes once by itself; a caller sees this code after that, or from inside a batch.
  ['EXPIRED_TOKEN', 'expired'],
  ['INVALID_TOKEN', 'authorization'],
  ['NO_AUTH_FOUND', 'authorization'],
  ['INVALID_CREDENTIALS', 'authorization'],
  ['AUTHORIZATION_ERROR', 'authorization'],
  ['ERROR_OAUTH', 'authorization'],
  ['USER_ACCESS_ERROR', 'authorization'],
  // The portal has moved, and the OAuth server did not confirm where to: the next verified credentials have the
  // address.
  ['REDIRECT', 'moved'],

  ['INTERNAL_SERVER_ERROR', 'transient'],
  ['ERROR_UNEXPECTED_ANSWER', 'transient'],
  ['NOT_RUN', 'transient'],

  ['INSUFFICIENT_SCOPE', 'permanent'],
  ['INVALID_REQUEST', 'permanent'],
  ['INVALID_ARG_VALUE', 'permanent'],
  ['NOT_FOUND', 'permanent'],
  ['ERROR_METHOD_NOT_FOUND', 'permanent'],
  ['ERROR_EVENT_NOT_FOUND', 'permanent'],
  ['ERROR_MANIFEST_IS_NOT_AVAILABLE', 'permanent'],
  ['ERROR_BATCH_METHOD_NOT_ALLOWED', 'permanent'],
  ['ERROR_BATCH_LENGTH_EXCEEDED', 'permanent'],
  ['BAD_ENDPOINT', 'permanent'],
  ['NOT_INSTALLED', 'permanent'],
]);

/**
 * Error codes of the OAuth server (`settings/oauth/error-codes.md`), spelled as there. `invalid_client` and the ones
 * after it concern the configuration of this application: they must not mark a portal for reauthorization.
 */
export const CLASS_OF_OAUTH_CODE: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ['invalid_grant', 'authorization'],
  ['expired_token', 'authorization'],
  ['PAYMENT_REQUIRED', 'unavailable'],
  ['invalid_client', 'unavailable'],
  // Sent with status 200.
  ['wrong_client', 'unavailable'],
  ['invalid_request', 'unavailable'],
  ['invalid_scope', 'unavailable'],
  ['insufficient_scope', 'unavailable'],
]);

/**
 * The single classifier of portal errors, for events, jobs and scans. It considers the code, in any case, before the
 * HTTP status: older portals send other statuses than newer ones.
 */
export function classify(code: string, context: ErrorContext = {}): ErrorClass {
  const name = code.toUpperCase();
  const known = CLASS_OF_CODE.get(name);
  // The token was valid for the batch and became invalid while the commands ran: the next request tells why.
  if (known === 'authorization' && isOfCommand(context)) return 'expired';
  if (known !== undefined) return known;
  switch (name) {
    case 'ACCESS_DENIED':
      return isPlanError(context) ? 'plan' : 'permanent';
    case 'TRANSPORT':
    case 'TIMEOUT':
      // The request was not delivered: the portal is down, or the network to it.
      return context.delivered === 'no' ? 'unavailable' : 'transient';
    case 'BAD_ANSWER':
      return classifyUnreadable(context);
    default:
      return classifyUnknown(context.httpStatus);
  }
}

/** The class of an OAuth error, and its code as the documentation spells it. */
export function classifyOAuth(code: string): { readonly code: string; readonly errorClass: ErrorClass } {
  for (const [spelled, errorClass] of CLASS_OF_OAUTH_CODE) {
    if (spelled.toUpperCase() === code.toUpperCase()) return { code: spelled, errorClass };
  }
  return { code, errorClass: 'unavailable' };
}

export function recoveryFor(errorClass: ErrorClass): Recovery {
  switch (errorClass) {
    case 'throttled':
    case 'unavailable':
    case 'plan':
      return 'wait';
    case 'expired':
    case 'transient':
      return 'retry';
    case 'authorization':
    case 'moved':
      return 'reauthorize';
    case 'permanent':
      return 'never';
    default:
      return errorClass satisfies never;
  }
}

function isOfCommand({ httpStatus, method, delivered }: ErrorContext): boolean {
  return httpStatus === undefined && method !== undefined && delivered === 'yes';
}

/**
 * `ACCESS_DENIED` has two meanings. From a CRM method it concerns the rights to an item. With 401, or from `batch` as a
 * whole, which needs no rights, the portal's plan does not include REST (`_includes/system-errors.md`): it can be paid
 * for again.
 */
function isPlanError({ httpStatus, method }: ErrorContext): boolean {
  return httpStatus === 401 || (httpStatus !== undefined && method?.toLowerCase() === 'batch');
}

/** The request is too long for a server on the way; a retry gives the same error. */
const REQUEST_TOO_LONG = new Set([413, 414, 431]);

/** A page of the portal's front end, or a damaged response: it is not from the method and says nothing about it. */
function classifyUnreadable({ httpStatus = 200, detail }: ErrorContext): ErrorClass {
  // A retry gives the same response.
  if (detail === 'too-long' || detail === 'too-deep') return 'permanent';
  if (detail === 'no-room') return 'throttled';
  if (httpStatus === 429) return 'throttled';
  return REQUEST_TOO_LONG.has(httpStatus) ? 'permanent' : 'transient';
}

/** A method's own errors have status 400 or 403, authorization errors 401 (`error-codes.md`). */
function classifyUnknown(httpStatus: number | undefined): ErrorClass {
  if (httpStatus === 401) return 'authorization';
  if (httpStatus === 429) return 'throttled';
  if (httpStatus === 408 || (httpStatus !== undefined && httpStatus >= 500)) return 'transient';
  return 'permanent';
}
