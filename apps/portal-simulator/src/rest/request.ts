import { performance } from 'node:perf_hooks';
import { accessTokenOf } from '../http/http-server.js';
import type { OperatingReading } from '../limits/operating.js';
import type { Tokens } from '../oauth/tokens.js';
import type { Portal } from '../portal/portal.js';
import type { Values } from '../protocol/php.js';
import { systemErrors } from '../protocol/rest-error.js';
import { formatTimestamp } from '../protocol/timestamp.js';
import type { Caller } from './method.js';

export interface RestRequest {
  /** 3: under `rest/api/` (api-reference/rest-v3.md). */
  version: 2 | 3;
  method: string;
  params: Values;
  /** Of an incoming webhook's address: `rest/<user>/<secret>/`. */
  webhook?: { userId: string; secret: string };
  /** A token in the header `Authorization`. */
  bearer?: string | undefined;
  callerAddress: string;
}

/** Who calls: known by an access token, or by an incoming webhook's secret. @throws RestError */
export function authorize(
  portal: Portal,
  { params, webhook, bearer }: RestRequest,
  tokens: Tokens,
  nowMs: number,
): Caller {
  if (webhook) {
    const userId = portal.webhooks.get(webhook.secret);
    if (userId === undefined || String(userId) !== webhook.userId) throw systemErrors.webhook;
    return { kind: 'webhook', secret: webhook.secret, userId };
  }
  const token = accessTokenOf(params, bearer);
  if (token === '') throw systemErrors.noAuth;
  const access = tokens.find(token);
  if (!access || access.installation !== portal.installation) throw systemErrors.unknownToken;
  if (nowMs >= access.expiresAtMs) throw systemErrors.expired;
  return { kind: 'application', access };
}

/** What time it is for one HTTP request: the simulator's own time when it came, and finely on from there. */
export class RequestClock {
  private readonly mark = performance.now();

  constructor(readonly arrivedMs: number) {}

  /** Milliseconds with a fraction. */
  nowMs(): number {
    return this.arrivedMs + performance.now() - this.mark;
  }
}

/**
 * `time` of an answer that ends now (api-reference/data-types.md#time). Without `reading` the portal counts no
 * operating time, as one on premise.
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
