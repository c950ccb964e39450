import type { Bitrix24Error } from './errors.js';

/**
 * Idempotency class of a method:
 * - `read`: no side effects;
 * - `idempotent`: a second run has the same effect, such as setting fields to given values;
 * - `other`: a second run may create a second item, so it is retried only if the first was certainly not delivered.
 */
export type Idempotency = 'read' | 'idempotent' | 'other';

const READ_ENDINGS: ReadonlySet<string> = new Set([
  'get',
  'list',
  'fields',
  'count',
  'getlist',
  'getfields',
  'gettypes',
]);
const READS: ReadonlySet<string> = new Set([
  'app.info',
  'events',
  'methods',
  'profile',
  'scope',
  'server.time',
  'user.current',
  'user.search',
]);
/** It removes what it returns from the queue (`api-reference/events/event-offline-get.md`). */
const NO_READS: ReadonlySet<string> = new Set(['event.offline.get']);
const IDEMPOTENT_ENDINGS: ReadonlySet<string> = new Set(['update', 'delete', 'set']);

/** By the method's name, following Bitrix24's naming. A caller that knows better sets `repeatable`. */
export function idempotencyOf(method: string): Idempotency {
  const name = method.toLowerCase();
  const ending = name.slice(name.lastIndexOf('.') + 1);
  if (NO_READS.has(name)) return 'other';
  if (READS.has(name) || READ_ENDINGS.has(ending)) return 'read';
  return IDEMPOTENT_ENDINGS.has(ending) ? 'idempotent' : 'other';
}

const FROM_BEST_TO_WORST: readonly Idempotency[] = ['read', 'idempotent', 'other'];

/** The weakest class of the commands of a request, which is retried as a whole. */
export function weakestIdempotency(methods: readonly string[]): Idempotency {
  const worst = Math.max(0, ...methods.map((method) => FROM_BEST_TO_WORST.indexOf(idempotencyOf(method))));
  return FROM_BEST_TO_WORST[worst] ?? 'other';
}

/** Maximum retries of one request after transient errors. */
export const MAX_RETRIES = 2;
/** Maximum retries after `QUERY_LIMIT_EXCEEDED`, each admitted by the rate limiter. */
export const MAX_THROTTLED = 8;

/**
 * Whether the same request may be retried after this error. Not after a `TIMEOUT`: the request would take as long
 * again. The caller can split a large request instead.
 */
export function isRetryable(
  { code, recovery, delivered, httpStatus }: Bitrix24Error,
  kind: Idempotency,
): boolean {
  if (code === 'TRANSPORT') return kind !== 'other' || delivered === 'no';
  if (recovery !== 'retry' || code === 'TIMEOUT') return false;
  if (kind === 'other') return false;
  // A front end that rejects requests (401, 403, 404) does not recover within seconds.
  if (code === 'BAD_ANSWER') return httpStatus === undefined || httpStatus < 400 || httpStatus >= 500;
  return httpStatus !== undefined && httpStatus >= 500;
}

/**
 * Milliseconds before the first, second … retry: exponential backoff, about 0.3 s, then 1.2 s, with ±50 % jitter, so
 * that requests that failed together are not retried together.
 */
export function retryDelayMs(repeat: number, random: () => number = Math.random): number {
  return Math.round(300 * 4 ** (repeat - 1) * (0.5 + random()));
}
