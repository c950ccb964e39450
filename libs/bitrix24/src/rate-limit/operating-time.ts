import type { MethodUsage } from './rate-limiter.js';

/**
 * The arithmetic of operating time, free of clocks and stores (`limits.md`, facts 22): a method may cost one
 * application 480 seconds in ten minutes, counted in one-minute baskets; beyond, it answers 429 until the oldest basket
 * is forgotten. In the last fifth of it the method is slowed down, so that what is left lasts until then.
 */
export const OPERATING_LIMIT_SECONDS = 480;
/** From here on a method is slowed down. */
export const SLOW_FROM_SECONDS = 0.8 * OPERATING_LIMIT_SECONDS;
/** While a method is slowed down, its next call waits so long for the bill of the one before. */
export const USAGE_SAMPLE_MS = 5_000;
/** A wait that long is worth it; for a longer one the method counts as paused. */
export const MAX_WAIT_MS = 5_000;
/** A basket lasts a minute, so a new one is the oldest after that. */
const BASKET_MS = 60_000;
const MAX_RESET_MS = 10 * BASKET_MS;
/** Clocks differ: a refusal whose reset is over already must not be answered by a stream of calls. */
const SHORTEST_PAUSE_MS = 1_000;
/** The reset comes in whole seconds, by the portal's clock; baskets are a minute apart. */
const SAME_RESET_MS = 15_000;

/** A method that is slowed down; one that is not has no record. Times are of one clock, in milliseconds. */
export interface ThrottledMethod {
  readonly usedSeconds: number;
  /** When the budget that is left began to be spread, and when it ends: the oldest basket is forgotten. */
  readonly slowSinceMs: number;
  readonly resetsAtMs: number;
  /** Until then no call. */
  readonly nextAtMs: number;
}

/** The bill says nothing that has to be kept, unless there is a record of the method already. */
export function isBelowThreshold({ operatingSeconds, exhausted }: MethodUsage): boolean {
  return !exhausted && (operatingSeconds ?? 0) < SLOW_FROM_SECONDS;
}

/**
 * The method after one more bill; undefined when it is not, or no longer, slowed down. Bills of requests that ran side
 * by side come in any order, so that only a new reset can make the method cheaper.
 */
export function observeUsage(
  before: ThrottledMethod | undefined,
  usage: MethodUsage,
  nowMs: number,
): ThrottledMethod | undefined {
  const resetsAtMs = resetOf(before, usage, nowMs);
  const same = before && nowMs < before.resetsAtMs && resetsAtMs < before.resetsAtMs + SAME_RESET_MS;
  if (isBelowThreshold(usage)) return same ? before : undefined;

  const billed = usage.exhausted ? OPERATING_LIMIT_SECONDS : (usage.operatingSeconds ?? 0);
  const usedSeconds = Math.min(Math.max(billed, same ? before.usedSeconds : 0), OPERATING_LIMIT_SECONDS);
  const slowSinceMs = same ? before.slowSinceMs : nowMs;
  const spent = (usedSeconds - SLOW_FROM_SECONDS) / (OPERATING_LIMIT_SECONDS - SLOW_FROM_SECONDS);
  return {
    usedSeconds,
    slowSinceMs,
    resetsAtMs,
    nextAtMs: Math.round(slowSinceMs + spent * (resetsAtMs - slowSinceMs)),
  };
}

/** Those that have to wait longer than it is worth, and how many milliseconds. */
export function throttledOf(
  slowed: ReadonlyMap<string, ThrottledMethod>,
  nowMs: number,
): Map<string, number> {
  return new Map(
    [...slowed]
      .map(([method, { nextAtMs }]): [string, number] => [method, Math.ceil(nextAtMs - nowMs)])
      .filter(([, waitMs]) => waitMs > MAX_WAIT_MS),
  );
}

/**
 * One request with a call of each of these is about to go: the next waits for its bill. If one of them has to wait, all
 * do, and nothing is claimed.
 */
export function reserveCalls(
  slowed: ReadonlyMap<string, ThrottledMethod>,
  nowMs: number,
): { waitMs: number; claimed: Map<string, ThrottledMethod> } {
  const waitMs = Math.ceil(Math.max(0, ...[...slowed.values()].map(({ nextAtMs }) => nextAtMs - nowMs)));
  if (waitMs > 0) return { waitMs, claimed: new Map() };
  const claimed = [...slowed].map(([method, each]): [string, ThrottledMethod] => [
    method,
    { ...each, nextAtMs: nowMs + USAGE_SAMPLE_MS },
  ]);
  return { waitMs, claimed: new Map(claimed) };
}

function resetOf(
  before: ThrottledMethod | undefined,
  { resetsInMs, exhausted }: MethodUsage,
  nowMs: number,
): number {
  const shortestMs = exhausted ? SHORTEST_PAUSE_MS : 0;
  if (resetsInMs !== undefined) return nowMs + Math.min(Math.max(resetsInMs, shortestMs), MAX_RESET_MS);
  // A refusal need not tell its reset: the last known, else the end of the next basket.
  return before && before.resetsAtMs > nowMs ? before.resetsAtMs : nowMs + BASKET_MS;
}
