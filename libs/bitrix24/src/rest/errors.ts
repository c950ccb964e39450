import { classify, type ErrorClass, recoveryFor, type Recovery } from './classify.js';
import type { Delivered } from '../http/http-request.js';
import type { ResponseDefect } from '../http/response-reader.js';

export interface Bitrix24ErrorDetails {
  /** Default: `classify` of the code and the other details. */
  readonly errorClass?: ErrorClass | undefined;
  /** Default: `recoveryFor` the class. */
  readonly recovery?: Recovery | undefined;
  readonly httpStatus?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly memberId?: string;
  /** The REST method, for the message. */
  readonly method?: string;
  /** Default: `yes` with an HTTP status, `no` for the codes in `NOT_SENT`, else `unknown`. */
  readonly delivered?: Delivered | undefined;
  readonly detail?: ResponseDefect | undefined;
  readonly cause?: unknown;
}

/** Our codes for requests that were not sent. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'BAD_ADDRESS',
  'BAD_ENDPOINT',
  'NOT_INSTALLED',
  'NOT_RUN',
  'PORTAL_SUSPENDED',
]);

/**
 * A failed REST call. The message contains the code, the method and the HTTP status, never a token, an address or other
 * content from the portal: a webhook's address is its secret, and an error page can quote a request.
 */
export class Bitrix24Error extends Error {
  override readonly name: string = 'Bitrix24Error';
  /**
   * The code of Bitrix24 in upper case (`QUERY_LIMIT_EXCEEDED`, `NOT_FOUND`, `200040300010`), or one of ours:
   * `TRANSPORT` connection failure, `TIMEOUT` no response in time, `REDIRECT` the portal has moved to an unconfirmed
   * address, `BAD_ANSWER` a response not as documented (see `detail`), `NOT_RUN` a batch halted before this command,
   * `UNNAMED_ERROR` an error without a usable code, `BAD_ENDPOINT` a stored address that is not a URL, `BAD_ADDRESS` an
   * address that must not be called (plain http, or not public, by its name or its DNS records), `NOT_INSTALLED` a
   * portal that the token store does not know, `PORTAL_SUSPENDED` a portal to which calls are suspended.
   */
  readonly code: string;
  readonly errorClass: ErrorClass;
  readonly recovery: Recovery;
  readonly httpStatus: number | undefined;
  /** Delay before a retry, if the portal sent one. */
  readonly retryAfterMs: number | undefined;
  readonly memberId: string | undefined;
  readonly delivered: Delivered;
  /** For `BAD_ANSWER` only. */
  readonly detail: ResponseDefect | undefined;

  constructor(code: string, details: Bitrix24ErrorDetails = {}) {
    super(describe(code, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.errorClass = details.errorClass ?? classify(code, details);
    this.recovery = details.recovery ?? recoveryFor(this.errorClass);
    this.httpStatus = details.httpStatus;
    this.retryAfterMs = details.retryAfterMs;
    this.memberId = details.memberId;
    this.delivered = details.delivered ?? deliveredBy(code, details.httpStatus);
    this.detail = details.detail;
  }
}

function deliveredBy(code: string, httpStatus: number | undefined): Delivered {
  if (httpStatus !== undefined) return 'yes';
  return NOT_SENT.has(code) ? 'no' : 'unknown';
}

function describe(code: string, { method, httpStatus, detail }: Bitrix24ErrorDetails): string {
  const what = detail === undefined ? code : `${code} (${detail})`;
  const from = method === undefined ? '' : ` from ${method}`;
  return httpStatus === undefined ? `${what}${from}` : `${what}${from} (HTTP ${httpStatus})`;
}

/**
 * An error code that is safe to show: upper case, or `UNNAMED_ERROR` for a code that is empty (old methods send `""`),
 * malformed, contains one of the request's secrets, or looks like a secret itself.
 */
export function readCode(sent: string, secrets: readonly string[]): string {
  const code = sent.trim();
  if (!/^[\w.:\\-]{1,80}$/.test(code) || looksLikeSecret(code)) return 'UNNAMED_ERROR';
  const folded = code.toLowerCase();
  const leaks = secrets.some((secret) => secret !== '' && folded.includes(secret.toLowerCase()));
  return leaks ? 'UNNAMED_ERROR' : code.toUpperCase();
}

/** Tokens and webhook codes are long words of letters and digits; error codes are words or numbers. */
function looksLikeSecret(code: string): boolean {
  return code.split(/[_.:\\-]/).some((word) => word.length >= 12 && /\d/.test(word) && /[a-z]/i.test(word));
}
