import type { MethodUsage } from './rate-limiter.js';

/**
 * Operating time limit: pure functions, without a clock or a store (`limits.md`, facts 22). A method may use 480
 * seconds per application in ten minutes, counted in one-minute buckets; above that it responds 429 until the oldest
 * bucket expires. In the last fifth of the budget the method is throttled, so that the rest lasts until then.
 */
export const OPERATING_LIMIT_SECONDS = 480;
/** Usage from which on a method is throttled. */
export const SLOW_FROM_SECONDS = 0.8 * OPERATING_LIMIT_SECONDS;
/** While a method is throttled, its next call waits at most this long for the usage sample of the previous one. */
export const USAGE_SAMPLE_MS = 5_000;
/** The longest delay that a call waits for; with a longer one the method counts as paused. */
export const MAX_WAIT_MS = 5_000;
/** A call that waits for a usage sample, which may arrive at any moment, asks again after this time. */
const RECHECK_MS = 500;
/** Length of a bucket of the portal's sliding window. */
const BASKET_MS = 60_000;
const MAX_RESET_MS = 10 * BASKET_MS;
/** Clock skew: a 429 whose reset time is already past must not be followed by a stream of calls. */
const SHORTEST_PAUSE_MS = 1_000;
/** Tolerance for an equal reset time: it comes in whole seconds by the portal's clock; buckets are a minute apart. */
const SAME_RESET_MS = 15_000;

/** A throttled method; others have no record. All times are of one clock, in milliseconds. */
export interface ThrottledMethod {
  readonly usedSeconds: number;
  /** Start of the period over which the remaining budget is spread, and its end: the oldest bucket expires. */
  readonly slowSinceMs: number;
  readonly resetsAtMs: number;
  /** Earliest time of the next call. */
  readonly nextAtMs: number;
}

/** The usage sample need not be stored, unless the method has a record already. */
export function isBelowThreshold({ operatingSeconds, exhausted }: MethodUsage): boolean {
  return !exhausted && (operatingSeconds ?? 0) < SLOW_FROM_SECONDS;
}

/**
 * The method after one more usage sample; undefined when it is not, or no longer, throttled. Samples of concurrent
 * requests arrive in any order, so only a new reset time can lower the usage.
 */
export function observeUsage(
  before: ThrottledMethod | undefined,
  usage: MethodUsage,
  nowMs: number,
): ThrottledMethod | undefined {
  const resetsAtMs = resetOf(before, usage, nowMs);
  const same = before && nowMs < before.resetsAtMs && resetsAtMs < before.resetsAtMs + SAME_RESET_MS;
  if (isBelowThreshold(usage)) return same ? before : undefined;

  const countedSeconds = usage.exhausted ? OPERATING_LIMIT_SECONDS : (usage.operatingSeconds ?? 0);
  const usedSeconds = Math.min(
    Math.max(countedSeconds, same ? before.usedSeconds : 0),
    OPERATING_LIMIT_SECONDS,
  );
  const slowSinceMs = same ? before.slowSinceMs : nowMs;
  const spent = (usedSeconds - SLOW_FROM_SECONDS) / (OPERATING_LIMIT_SECONDS - SLOW_FROM_SECONDS);
  return {
    usedSeconds,
    slowSinceMs,
    resetsAtMs,
    nextAtMs: Math.round(slowSinceMs + spent * (resetsAtMs - slowSinceMs)),
  };
}

/** The methods whose delay exceeds `MAX_WAIT_MS`, with the delay in milliseconds. */
export function throttledOf(
  throttled: ReadonlyMap<string, ThrottledMethod>,
  nowMs: number,
): Map<string, number> {
  return new Map(
    [...throttled]
      .map(([method, { nextAtMs }]): [string, number] => [method, Math.ceil(nextAtMs - nowMs)])
      .filter(([, waitMs]) => waitMs > MAX_WAIT_MS),
  );
}

/**
 * Reserves one call of each method for a request that is about to be sent; the next call waits for its usage sample. If
 * one method has to wait, all wait and nothing is reserved.
 * @returns the delays in milliseconds of those that have to wait
 */
export function reserveCalls(
  throttled: ReadonlyMap<string, ThrottledMethod>,
  nowMs: number,
): { waits: Map<string, number>; claimed: Map<string, ThrottledMethod> } {
  const waits = [...throttled]
    .map(([method, { nextAtMs }]): [string, number] => [method, Math.ceil(nextAtMs - nowMs)])
    .filter(([, waitMs]) => waitMs > 0);
  if (waits.length > 0) return { waits: new Map(waits), claimed: new Map() };
  const claimed = [...throttled].map(([method, each]): [string, ThrottledMethod] => [
    method,
    { ...each, nextAtMs: nowMs + USAGE_SAMPLE_MS },
  ]);
  return { waits: new Map(), claimed: new Map(claimed) };
}

/**
 * What a request does that has already waited `waitedMs`: it goes on without the methods with a longer delay than it
 * waits for; if there are none, it asks again after a pause.
 */
export function splitWaits(
  waits: ReadonlyMap<string, number>,
  waitedMs: number,
): { tooLong: [method: string, waitMs: number][]; pauseMs: number } {
  return {
    tooLong: [...waits].filter(([, waitMs]) => waitedMs + waitMs > MAX_WAIT_MS),
    pauseMs: Math.min(Math.max(0, ...waits.values()), RECHECK_MS),
  };
}

function resetOf(
  before: ThrottledMethod | undefined,
  { resetsInMs, exhausted }: MethodUsage,
  nowMs: number,
): number {
  const shortestMs = exhausted ? SHORTEST_PAUSE_MS : 0;
  if (resetsInMs !== undefined) return nowMs + Math.min(Math.max(resetsInMs, shortestMs), MAX_RESET_MS);
  // A 429 may come without a reset time: use the last known one, else the end of the next bucket.
  return before && before.resetsAtMs > nowMs ? before.resetsAtMs : nowMs + BASKET_MS;
}
