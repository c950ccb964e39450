import { performance } from 'node:perf_hooks';
import { accessTokenOf } from '../http/http-server.js';
import type { OperatingReading } from '../limits/operating.js';
import type { Tokens } from '../oauth/tokens.js';
import type { Portal } from '../portal/portal.js';
import type { Values } from '../protocol/php.js';
import { SYSTEM_ERRORS } from '../protocol/rest-error.js';
import { formatTimestamp } from '../protocol/timestamp.js';
import type { Caller } from './method.js';

export interface RestRequest {
  /** 3 for a path under `rest/api/` (api-reference/rest-v3.md). */
  version: 2 | 3;
  method: string;
  params: Values;
  /** From the address of an incoming webhook: `rest/<user>/<secret>/`. */
  webhook?: { userId: string; secret: string };
  /** The token of the header `Authorization`. */
  bearer?: string | undefined;
  callerAddress: string;
}

/** Identifies the caller by an access token or by the secret of an incoming webhook. @throws RestError */
export function authorize(
  portal: Portal,
  { params, webhook, bearer }: RestRequest,
  tokens: Tokens,
  nowMs: number,
): Caller {
  if (webhook) {
    const userId = portal.webhooks.get(webhook.secret);
    if (userId === undefined || String(userId) !== webhook.userId) throw SYSTEM_ERRORS.webhook;
    return { kind: 'webhook', secret: webhook.secret, userId };
  }
  const token = accessTokenOf(params, bearer);
  if (token === '') throw SYSTEM_ERRORS.noAuth;
  const access = tokens.find(token);
  if (!access || access.installation !== portal.installation) throw SYSTEM_ERRORS.unknownToken;
  if (nowMs >= access.expiresAtMs) throw SYSTEM_ERRORS.expired;
  return { kind: 'application', access };
}

/** The clock of one HTTP request: starts at the simulator's time and advances with sub-millisecond precision. */
export class RequestClock {
  private readonly mark = performance.now();

  constructor(readonly arrivedMs: number) {}

  /** Milliseconds with a fraction. */
  nowMs(): number {
    return this.arrivedMs + performance.now() - this.mark;
  }
}

/**
 * `time` of a response that ends now (api-reference/data-types.md#time). No `reading` means that the portal counts no
 * operating time, as on premise.
 */
export function timeOf(clock: RequestClock, startedMs: number, reading?: OperatingReading): Values {
  const finishedMs = clock.nowMs();
  return {
    start: startedMs / 1000,
    finish: finishedMs / 1000,
    duration: (finishedMs - startedMs) / 1000,
    processing: (finishedMs - startedMs) / 1000,
    date_start: formatTimestamp(startedMs),
    date_finish: formatTimestamp(finishedMs),
    ...(reading && { operating_reset_at: reading.operatingResetAt, operating: reading.operating }),
  };
}
