import type { Delivered, ResponseDefect } from './outcome.js';

/**
 * What can be done about an error:
 * - `retry`: the same request may succeed, a bounded number of times, later;
 * - `wait`: nothing is wrong with the request, the portal takes no more for now;
 * - `reauthorize`: a person has to authorize the application or the webhook again;
 * - `never`: repeating the request gives the same error.
 *
 * It says nothing about whether a repeat is harmless: a write whose answer did not come may have been done.
 */
export type Recovery = 'retry' | 'wait' | 'reauthorize' | 'never';

/**
 * What an error is about:
 * - `throttled`: a limit of the portal or of one method;
 * - `unavailable`: the portal as a whole, whatever is asked: it is blocked, closed, unpaid, or cannot be reached;
 * - `plan`: the portal's plan has no REST;
 * - `expired`: the access token, which can be renewed;
 * - `authorization`: the token, its user or the application, which a person has to put right;
 * - `moved`: the portal's address, until somebody whom we believe confirms the new one;
 * - `transient`: an accident on the way or in the portal, which says nothing about the request;
 * - `permanent`: what was asked.
 */
export type ErrorClass =
  'throttled' | 'unavailable' | 'plan' | 'expired' | 'authorization' | 'moved' | 'transient' | 'permanent';

/** What is known of a failed request beside its code. */
export interface ErrorContext {
  readonly httpStatus?: number | undefined;
  /** The method that was called; absent status and method of a command show that it failed inside a batch. */
  readonly method?: string | undefined;
  readonly delivered?: Delivered | undefined;
  /** Of a `BAD_ANSWER`. */
  readonly detail?: ResponseDefect | undefined;
}

/**
 * Codes that Bitrix24 answers to any method, and our own for answers that never came, whatever their status: portals
 * send the same code with different ones (`error-codes.md`, `_includes/system-errors.md`, `limits.md`,
 * `settings/how-to-call-rest-api/batch.md`). The README holds the same table for people; a spec compares the two.
 */
export const CLASS_OF_CODE: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ['QUERY_LIMIT_EXCEEDED', 'throttled'],
  ['OPERATION_TIME_LIMIT', 'throttled'],

  // Put on by hand at Bitrix24 and taken off by hand: asking more often only prolongs it.
  ['OVERLOAD_LIMIT', 'unavailable'],
  // The portal as a whole takes no calls: its bill is open, or it is closed. What is waiting for it can wait longer.
  ['PAYMENT_REQUIRED', 'unavailable'],
  ['WRONG_LICENSE', 'unavailable'],
  // Named for deletion, but also what a portal answers whose public part is closed for maintenance.
  ['PORTAL_DELETED', 'unavailable'],
  // The portal cannot ask the OAuth server about the token.
  ['CONNECTION_ERROR', 'unavailable'],
  // Ours, for as long as one of these keeps a portal from being called.
  ['PORTAL_SUSPENDED', 'unavailable'],
  // Of the portal, not of the request: until its name leads elsewhere, or the operator allows its host.
  ['BAD_ADDRESS', 'unavailable'],

  // The client renews once by itself; what gets out of it came after that, or from inside a batch.
  ['EXPIRED_TOKEN', 'expired'],
  ['INVALID_TOKEN', 'authorization'],
  ['NO_AUTH_FOUND', 'authorization'],
  ['INVALID_CREDENTIALS', 'authorization'],
  ['AUTHORIZATION_ERROR', 'authorization'],
  ['ERROR_OAUTH', 'authorization'],
  ['USER_ACCESS_ERROR', 'authorization'],
  // The portal has moved, and who knows where to did not confirm it: the next verified credentials bring the address.
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
 * Refusals of the OAuth server (`settings/oauth/error-codes.md`), spelled as there. `invalid_client` and the ones behind
 * it are about how this application is set up: they must send no portal to its administrator.
 */
export const CLASS_OF_OAUTH_CODE: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ['invalid_grant', 'authorization'],
  ['expired_token', 'authorization'],
  ['PAYMENT_REQUIRED', 'unavailable'],
  ['invalid_client', 'unavailable'],
  // Comes with status 200.
  ['wrong_client', 'unavailable'],
  ['invalid_request', 'unavailable'],
  ['invalid_scope', 'unavailable'],
  ['insufficient_scope', 'unavailable'],
]);

/**
 * The one function that says what an error of a portal is about, whoever meets it: an event, a task, a scan. It reads
 * the code, whatever its case, before the status: older portals send other statuses than newer ones.
 */
export function classify(code: string, context: ErrorContext = {}): ErrorClass {
  const name = code.toUpperCase();
  const known = CLASS_OF_CODE.get(name);
  // The batch was let in by its token, which then died while the commands ran: the next request says more.
  if (known === 'authorization' && isOfCommand(context)) return 'expired';
  if (known !== undefined) return known;
  switch (name) {
    case 'ACCESS_DENIED':
      return isPlanRefusal(context) ? 'plan' : 'permanent';
    case 'TRANSPORT':
    case 'TIMEOUT':
      // Nothing is wrong with a request that found nobody to take it: the portal is down, or the way to it.
      return context.delivered === 'no' ? 'unavailable' : 'transient';
    case 'BAD_ANSWER':
      return classifyUnreadable(context);
    default:
      return classifyUnknown(context.httpStatus);
  }
}

/** What a refusal of the OAuth server is about, and its code as the documentation spells it. */
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
 * `ACCESS_DENIED` has two meanings. To a method of the CRM it is about the rights to an item. With 401, or to `batch` as a
 * whole, which anybody may call, it says that the portal's plan has no REST (`_includes/system-errors.md`): it can be paid
 * for again.
 */
function isPlanRefusal({ httpStatus, method }: ErrorContext): boolean {
  return httpStatus === 401 || (httpStatus !== undefined && method?.toLowerCase() === 'batch');
}

/** The request was too long for a server on its way; the same would be again. */
const REQUEST_TOO_LONG = new Set([413, 414, 431]);

/** A page of the portal's front end, or a damaged answer: it did not come from the method and says nothing about it. */
function classifyUnreadable({ httpStatus = 200, detail }: ErrorContext): ErrorClass {
  // Asked again, it would be the same.
  if (detail === 'too-long' || detail === 'too-deep') return 'permanent';
  if (detail === 'no-room') return 'throttled';
  if (httpStatus === 429) return 'throttled';
  return REQUEST_TOO_LONG.has(httpStatus) ? 'permanent' : 'transient';
}

/** A method's own errors come with 400 or 403, those of authorization with 401 (`error-codes.md`). */
function classifyUnknown(httpStatus: number | undefined): ErrorClass {
  if (httpStatus === 401) return 'authorization';
  if (httpStatus === 429) return 'throttled';
  if (httpStatus === 408 || (httpStatus !== undefined && httpStatus >= 500)) return 'transient';
  return 'permanent';
}
