import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  USAGE_SAMPLE_MS,
  reserveCalls,
  MAX_WAIT_MS,
  observeUsage,
  OPERATING_LIMIT_SECONDS,
  throttledOf,
  SLOW_FROM_SECONDS,
  type ThrottledMethod,
} from './operating-time.js';
import type { MethodUsage } from './rate-limiter.js';

const method = 'crm.item.list';
const usageOf = (operatingSeconds: number, resetsInMs = 300_000): MethodUsage => ({
  method,
  operatingSeconds,
  resetsInMs,
  exhausted: false,
});
const rejection = (resetsInMs?: number): MethodUsage => ({
  method,
  operatingSeconds: undefined,
  resetsInMs,
  exhausted: true,
});
const waitOf = (throttled: ThrottledMethod | undefined, nowMs: number): number =>
  (throttled && reserveCalls(new Map([[method, throttled]]), nowMs).waits.get(method)) ?? 0;

/** The method after a usage sample that throttles it. */
function throttledBy(usage: MethodUsage): ThrottledMethod {
  const throttled = observeUsage(undefined, usage, 0);
  if (!throttled) throw new Error('the sample throttles nothing');
  return throttled;
}

function pausedMs(usage: MethodUsage): number | undefined {
  return throttledOf(new Map([[method, throttledBy(usage)]]), 0).get(method);
}

describe('operating time', () => {
  it('throttles nothing below four fifths of the limit', () => {
    expect(observeUsage(undefined, usageOf(SLOW_FROM_SECONDS - 1), 0)).toBeUndefined();
    expect(observeUsage(undefined, { ...usageOf(0), operatingSeconds: undefined }, 0)).toBeUndefined();
    expect(observeUsage(undefined, usageOf(SLOW_FROM_SECONDS), 0)).toMatchObject({ nextAtMs: 0 });
  });

  it('spreads the rest of the budget until the reset: half of it used, half of the time waited', () => {
    const half = (SLOW_FROM_SECONDS + OPERATING_LIMIT_SECONDS) / 2;
    const throttled = observeUsage(undefined, usageOf(SLOW_FROM_SECONDS), 1_000);
    expect(observeUsage(throttled, usageOf(half, 290_000), 11_000)).toMatchObject({
      nextAtMs: 1_000 + 150_000,
    });
    expect(observeUsage(throttled, usageOf(500, 290_000), 11_000)).toMatchObject({ nextAtMs: 301_000 });
  });

  it('pauses an exhausted method until its reset, and no longer than ten minutes', () => {
    expect(pausedMs(rejection(120_000))).toBe(120_000);
    expect(pausedMs(rejection(86_400_000))).toBe(600_000);
    expect(pausedMs(rejection())).toBe(60_000);
    // Too short to report: the call waits for it.
    expect(waitOf(observeUsage(undefined, rejection(-5_000), 0), 0)).toBe(1_000);
  });

  it('uses the reset time of the previous sample if the error has none', () => {
    const throttled = observeUsage(undefined, usageOf(470, 200_000), 0);
    expect(observeUsage(throttled, rejection(), 50_000)).toMatchObject({ nextAtMs: 200_000 });
  });

  it('ignores the late usage sample of an earlier call', () => {
    const exhausted = observeUsage(undefined, rejection(200_000), 0);
    expect(observeUsage(exhausted, usageOf(300, 195_000), 5_000)).toEqual(exhausted);
    expect(waitOf(observeUsage(exhausted, usageOf(470, 195_000), 5_000), 5_000)).toBe(195_000);
  });

  it('resumes by itself at the reset, one call at a time until the first usage sample, and then by that', () => {
    const exhausted = throttledBy(rejection(200_000));
    const first = reserveCalls(new Map([[method, exhausted]]), 200_000);
    expect(first.waits.size).toBe(0);
    const claimed = first.claimed.get(method);
    expect(waitOf(claimed, 200_000)).toBe(USAGE_SAMPLE_MS);
    expect(observeUsage(claimed, usageOf(431, 60_000), 201_000)).toMatchObject({ slowSinceMs: 201_000 });
    expect(observeUsage(claimed, usageOf(200, 60_000), 201_000)).toBeUndefined();
  });

  it('reserves nothing when one of several methods has to wait', () => {
    const throttled = throttledBy(usageOf(SLOW_FROM_SECONDS));
    const methods = new Map([
      ['a', throttled],
      ['b', { ...throttled, nextAtMs: 3_000 }],
    ]);
    expect(reserveCalls(methods, 1_000)).toEqual({ waits: new Map([['b', 2_000]]), claimed: new Map() });
    expect([...reserveCalls(methods, 3_000).claimed.keys()]).toEqual(['a', 'b']);
    expect(throttledOf(methods, 3_000 - MAX_WAIT_MS - 1).get('b')).toBe(MAX_WAIT_MS + 1);
    expect(throttledOf(methods, 3_000 - MAX_WAIT_MS).size).toBe(0);
  });

  /**
   * The method's ten one-minute buckets at Bitrix24, each counted for ten minutes from its first call (`limits.md`).
   */
  class Baskets {
    rejections = 0;
    private baskets: { startMs: number; seconds: number }[] = [];

    call(seconds: number, nowMs: number): MethodUsage {
      this.baskets = this.baskets.filter(({ startMs }) => nowMs < startMs + 600_000);
      const used = (): number => this.baskets.reduce((sum, each) => sum + each.seconds, 0);
      if (used() > OPERATING_LIMIT_SECONDS) {
        this.rejections += 1;
        return rejection();
      }
      const latest = this.baskets.at(-1);
      if (latest && nowMs - latest.startMs < 60_000) latest.seconds += seconds;
      else this.baskets.push({ startMs: nowMs, seconds });
      const oldest = this.baskets[0]?.startMs ?? nowMs;
      return usageOf(used(), Math.floor((oldest + 600_000 - nowMs) / 1_000) * 1_000);
    }
  }

  it('uses nearly all of the limit over an hour, with few rejections', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 40_000 }),
        fc.integer({ min: 0, max: 5_000 }),
        (costMs, gapMs) => {
          const baskets = new Baskets();
          let throttled: ThrottledMethod | undefined;
          let calls = 0;
          let nowMs = 0;
          // One caller who always has something to ask; a call takes as long as its operating time.
          while (nowMs < 3_600_000) {
            const waitMs = waitOf(throttled, nowMs);
            nowMs += waitMs;
            if (throttled)
              throttled = reserveCalls(new Map([[method, throttled]]), nowMs).claimed.get(method);
            const usage = baskets.call(costMs / 1_000, nowMs);
            nowMs += costMs + gapMs;
            throttled = observeUsage(throttled, usage, nowMs);
            if (!usage.exhausted) calls += 1;
          }
          expect(baskets.rejections).toBeLessThanOrEqual(6);
          const wanted = 3_600_000 / (costMs + gapMs);
          const allowed = (6 * OPERATING_LIMIT_SECONDS * 1_000) / costMs;
          expect(calls).toBeGreaterThanOrEqual(0.75 * Math.min(wanted, allowed) - 2);
        },
      ),
      { numRuns: 60 },
    );
  });
});
