import { classify, type ErrorClass, recoveryFor, type Recovery } from './classify.js';
import type { Delivered, ResponseDefect } from './outcome.js';

export interface Bitrix24ErrorDetails {
  /** Default: what `classify` says of the other details. */
  readonly errorClass?: ErrorClass | undefined;
  /** Default: what helps against its class. */
  readonly recovery?: Recovery | undefined;
  readonly httpStatus?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly memberId?: string;
  /** The REST method, for the message. */
  readonly method?: string;
  /** Default: `yes` with an HTTP status, `no` for codes that say that nothing was sent, else `unknown`. */
  readonly delivered?: Delivered | undefined;
  readonly detail?: ResponseDefect | undefined;
  readonly cause?: unknown;
}

/** Ours, for what was not sent at all. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'BAD_ADDRESS',
  'BAD_ENDPOINT',
  'NOT_INSTALLED',
  'NOT_RUN',
  'PORTAL_SUSPENDED',
]);

/**
 * A REST call that gave no result. Its texts hold the code, the method and the HTTP status, never a token, an address
 * or anything else that the portal sent: a webhook's address is its secret, and an error page can quote a request.
 */
export class Bitrix24Error extends Error {
  override readonly name: string = 'Bitrix24Error';
  /**
   * As Bitrix24 spells it, in upper case (`QUERY_LIMIT_EXCEEDED`, `NOT_FOUND`, `200040300010`), or one of ours:
   * `TRANSPORT` no connection, `TIMEOUT` no answer in time, `REDIRECT` the portal has moved and nobody confirms where to,
   * `BAD_ANSWER` not what the documentation promises (`detail` says in what way), `NOT_RUN` a batch stopped before this
   * command, `UNNAMED_ERROR` an error without a usable code, `BAD_ENDPOINT` a stored address that is no URL,
   * `BAD_ADDRESS` an address that must not be called (plain http, or not public, by its name or by what that leads to),
   * `NOT_INSTALLED` a token store that knows no such portal, `PORTAL_SUSPENDED` one that is not called for now.
   */
  readonly code: string;
  readonly errorClass: ErrorClass;
  readonly recovery: Recovery;
  readonly httpStatus: number | undefined;
  /** How long to wait, where the portal said so. */
  readonly retryAfterMs: number | undefined;
  readonly memberId: string | undefined;
  readonly delivered: Delivered;
  /** Of `BAD_ANSWER` only. */
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
 * An error code as it may be shown: upper case, or `UNNAMED_ERROR` for what is empty (old methods send `""`),
 * does not look like a code, holds one of the secrets that the request carried, or looks like a secret itself.
 */
export function readCode(sent: string, secrets: readonly string[]): string {
  const code = sent.trim();
  if (!/^[\w.:\\-]{1,80}$/.test(code) || looksLikeSecret(code)) return 'UNNAMED_ERROR';
  const folded = code.toLowerCase();
  const leaks = secrets.some((secret) => secret !== '' && folded.includes(secret.toLowerCase()));
  return leaks ? 'UNNAMED_ERROR' : code.toUpperCase();
}

/** Tokens and webhook codes are long words that mix letters and digits; codes are words, or numbers. */
function looksLikeSecret(code: string): boolean {
  return code.split(/[_.:\\-]/).some((word) => word.length >= 12 && /\d/.test(word) && /[a-z]/i.test(word));
}
