import { recoveryOf, type Recovery } from './recovery.js';

export interface Bitrix24ErrorDetails {
  /** Default: what the table of codes says. */
  readonly recovery?: Recovery;
  readonly httpStatus?: number;
  readonly retryAfterMs?: number;
  readonly memberId?: string;
  /** The REST method, for the message. */
  readonly method?: string;
  readonly cause?: unknown;
}

/**
 * A REST call that gave no result. Its texts hold the code, the method and the HTTP status, never a token, an address
 * or anything else that the portal sent: a webhook's address is its secret, and an error page can quote a request.
 */
export class Bitrix24Error extends Error {
  override readonly name: string = 'Bitrix24Error';
  /**
   * As Bitrix24 spells it, in upper case (`QUERY_LIMIT_EXCEEDED`, `NOT_FOUND`, `200040300010`), or one of ours:
   * `TRANSPORT` no connection, `TIMEOUT` no answer in time, `REDIRECT` the portal has moved (nothing is followed),
   * `BAD_ANSWER` not what the documentation promises, `NOT_RUN` a batch stopped before this command,
   * `UNNAMED_ERROR` an error without a usable code, `BAD_ENDPOINT` a stored address that is no URL,
   * `NOT_INSTALLED` a token store that knows no such portal.
   */
  readonly code: string;
  readonly recovery: Recovery;
  readonly httpStatus: number | undefined;
  /** How long to wait, where the portal said so. */
  readonly retryAfterMs: number | undefined;
  readonly memberId: string | undefined;

  constructor(code: string, details: Bitrix24ErrorDetails = {}) {
    super(describe(code, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.recovery = details.recovery ?? recoveryOf(code, details.httpStatus);
    this.httpStatus = details.httpStatus;
    this.retryAfterMs = details.retryAfterMs;
    this.memberId = details.memberId;
  }
}

function describe(code: string, { method, httpStatus }: Bitrix24ErrorDetails): string {
  const from = method === undefined ? '' : ` from ${method}`;
  return httpStatus === undefined ? `${code}${from}` : `${code}${from} (HTTP ${httpStatus})`;
}

/**
 * An error code as it may be shown: upper case, or `UNNAMED_ERROR` for what is empty (old methods send `""`),
 * does not look like a code, or holds one of the secrets that the request carried.
 */
export function readCode(sent: string, secrets: readonly string[]): string {
  const code = sent.trim();
  if (!/^[\w.:\\-]{1,80}$/.test(code)) return 'UNNAMED_ERROR';
  const folded = code.toLowerCase();
  const leaks = secrets.some((secret) => secret !== '' && folded.includes(secret.toLowerCase()));
  return leaks ? 'UNNAMED_ERROR' : code.toUpperCase();
}
