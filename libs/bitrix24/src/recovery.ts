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
 * Codes that Bitrix24 answers to any method, and our own for answers that never came.
 * Sources: `_includes/system-errors.md`, `limits.md`, `settings/how-to-call-rest-api/batch.md` of the REST documentation.
 */
const RECOVERY = new Map<string, Recovery>([
  ['QUERY_LIMIT_EXCEEDED', 'wait'],
  ['OPERATION_TIME_LIMIT', 'wait'],
  // Put on by hand at Bitrix24 and taken off by hand: asking more often only prolongs it.
  ['OVERLOAD_LIMIT', 'wait'],
  // The portal as a whole takes no calls: its bill is open, or it is closed. What is waiting for it can wait longer.
  ['PAYMENT_REQUIRED', 'wait'],
  // Named for deletion, but also what a portal answers whose public part is closed for maintenance.
  ['PORTAL_DELETED', 'wait'],
  // Ours, for as long as one of these keeps a portal from being called.
  ['PORTAL_SUSPENDED', 'wait'],

  // The client renews once by itself; what gets out of it came after that, or from inside a batch.
  ['EXPIRED_TOKEN', 'retry'],
  ['INVALID_TOKEN', 'reauthorize'],
  ['NO_AUTH_FOUND', 'reauthorize'],
  ['INVALID_CREDENTIALS', 'reauthorize'],
  ['USER_ACCESS_ERROR', 'reauthorize'],

  ['INTERNAL_SERVER_ERROR', 'retry'],
  ['ERROR_UNEXPECTED_ANSWER', 'retry'],

  ['ACCESS_DENIED', 'never'],
  ['INSUFFICIENT_SCOPE', 'never'],
  ['INVALID_REQUEST', 'never'],
  ['INVALID_ARG_VALUE', 'never'],
  ['NOT_FOUND', 'never'],
  ['ERROR_METHOD_NOT_FOUND', 'never'],
  ['ERROR_EVENT_NOT_FOUND', 'never'],
  ['ERROR_MANIFEST_IS_NOT_AVAILABLE', 'never'],
  ['ERROR_BATCH_METHOD_NOT_ALLOWED', 'never'],
  ['ERROR_BATCH_LENGTH_EXCEEDED', 'never'],

  // Where surely no byte of it was sent, the portal is down, and the error says `wait`.
  ['TRANSPORT', 'retry'],
  ['TIMEOUT', 'retry'],
  // The portal has moved, and who knows where to did not confirm it: the next verified credentials bring the address.
  ['REDIRECT', 'reauthorize'],
  ['NOT_RUN', 'retry'],
  ['BAD_ENDPOINT', 'never'],
  // Of the portal, not of the request: until its name leads elsewhere, or the operator allows its host.
  ['BAD_ADDRESS', 'wait'],
  ['NOT_INSTALLED', 'never'],
]);

/**
 * The recovery of an error code, whatever its case. A code that is not in the table is judged by its HTTP status:
 * 429 says wait, a server's failure may pass, anything else would be the same again.
 */
export function recoveryOf(code: string, httpStatus?: number): Recovery {
  const name = code.toUpperCase();
  const known = RECOVERY.get(name);
  if (known !== undefined) return known;
  if (httpStatus === 429) return 'wait';
  if (httpStatus === 408 || (httpStatus !== undefined && httpStatus >= 500)) return 'retry';
  // What came with a good status but cannot be read was damaged on its way.
  if (name === 'BAD_ANSWER' && (httpStatus === undefined || httpStatus < 300)) return 'retry';
  return 'never';
}
