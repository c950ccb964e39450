import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BatchLinger, DEFAULT_BATCHING, ExpectedReturns, WaitBudget } from './lane-timing.js';

const many = 10_000;
const times = (): BatchLinger =>
  new BatchLinger({ firstMs: 200, maxMs: 4_000, lingerMs: 500, lingerPerEntryMs: 10, offlineMs: 0 });

describe('the linger of a lane', () => {
  it('counts from the beginning of the last batch', () => {
    expect(times().remainingMs('a', 50, many, 1)).toBe(150);
  });

  it('is zero after a batch that took longer', () => {
    expect(times().remainingMs('a', 30_000, many, many)).toBe(0);
  });

  it('grows fivefold while there is always work, up to its bound', () => {
    const batching = new BatchLinger({ ...DEFAULT_BATCHING, lingerMs: 10_000 });
    const lingers = Array.from({ length: 7 }, () => {
      const ms = batching.remainingMs('a', 0, many, 49);
      batching.released('a', true);
      return ms;
    });
    expect(lingers).toEqual([200, 1_000, 4_000, 4_000, 4_000, 4_000, 4_000]);
  });

  it('is short for few entries, however long there has been work', () => {
    const batching = times();
    for (let batch = 0; batch < 10; batch += 1) batching.released('a', true);
    expect([0, 1, 5, 100, 350, many].map((pending) => batching.remainingMs('a', 0, many, pending))).toEqual([
      500, 510, 550, 1_500, 4_000, 4_000,
    ]);
  });

  it('is as long at once, where many wait, as the portal needs for the last batch', () => {
    const lingersWith = (pending: number): number[] =>
      [1, 25, 200, 350, many].map((handled) => times().remainingMs('a', 0, handled, pending));
    expect(lingersWith(49)).toEqual([200, 200, 200, 200, 200]);
    expect(lingersWith(50)).toEqual([750, 750, 1_000, 1_000, 1_000]);
    expect(lingersWith(many)).toEqual([750, 750, 2_500, 4_000, 4_000]);
  });

  it('restarts for a lane that became idle, independently of the others', () => {
    const batching = times();
    for (const portal of ['a', 'a', 'b']) batching.released(portal, true);
    batching.released('a', false);
    expect(batching.remainingMs('a', 0, many, 49)).toBe(200);
    expect(batching.remainingMs('b', 0, many, 49)).toBe(990);
  });
});

describe('the wait budget', () => {
  it('lets a lane wait repeatedly, and never longer than the maximum in total', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2_000), { minLength: 1, maxLength: 50 }), (waits) => {
        const budget = new WaitBudget(1_000);
        let now = 5;
        let heldMs = 0;
        for (const waitMs of waits) {
          if (budget.extend('a', waitMs, now)) heldMs += waitMs;
          else heldMs = 0;
          expect(heldMs).toBeLessThanOrEqual(1_000);
          now += heldMs === 0 ? 0 : waitMs;
        }
      }),
    );
  });

  it('restarts when a batch got through', () => {
    const budget = new WaitBudget(1_000);
    expect(budget.extend('a', 900, 0)).toBe(true);
    budget.end('a');
    expect(budget.since('a')).toBeUndefined();
    expect(budget.extend('a', 900, 900)).toBe(true);
  });
});

const portal = 'm1';

/** `events` that exceed the lane at one moment. @returns their number by delay */
function defer(returns: ExpectedReturns, events: number, now: number): Record<number, number> {
  const counts: Record<number, number> = {};
  for (let sent = 0; sent < events; sent++) {
    const delayMs = returns.deferralMs(portal, now);
    returns.expect(portal, delayMs, now);
    counts[delayMs] = (counts[delayMs] ?? 0) + 1;
  }
  return counts;
}

function arrive(returns: ExpectedReturns, events: number, now: number): void {
  for (let arrived = 0; arrived < events; arrived++) returns.arrived(portal, now);
}

describe('events that exceed a lane', () => {
  it('are deferred for a short time while they are few, and the rest of a flood for longer', () => {
    const returns = new ExpectedReturns();
    expect(defer(returns, 100_000, 0)).toEqual({ 5_000: 500, 30_000: 10_000, 120_000: 89_500 });
    expect(returns.deferralMs(portal, 3_000)).toBe(120_000);
    expect(returns.deferralMs('another', 3_000)).toBe(5_000);
  });

  it('are deferred for the short time again when the first have come back', () => {
    const returns = new ExpectedReturns();
    defer(returns, 100_000, 0);
    arrive(returns, 500, 5_000);
    expect(defer(returns, 3_000, 5_000)).toEqual({ 5_000: 500, 120_000: 2_500 });
  });

  it('are deferred for the short time whatever comes back meanwhile that is a repeat', () => {
    const returns = new ExpectedReturns();
    for (let sent = 0; sent < 10_000; sent++) {
      const afterMs = returns.deferralMs(portal, 0, true);
      returns.expect(portal, afterMs, 0, true);
      expect(afterMs).toBe(30_000);
    }
    expect(returns.deferralMs(portal, 0, true)).toBe(120_000);
    expect(returns.deferralMs(portal, 26_000)).toBe(5_000);
  });

  it('come back when the lane has room: after most of the time that it takes for what it holds', () => {
    const returns = new ExpectedReturns();
    const deferralMs = (ms: number): number => returns.deferralMs(portal, 0, false, { ms, msPerEvent: 1 });
    expect([0, 42_000, 43_000, 171_000, 172_000, 1e9].map(deferralMs)).toEqual([
      5_000, 5_000, 30_000, 30_000, 120_000, 120_000,
    ]);
  });

  it('come back behind those that wait to be handled for the first time, if they are repeats', () => {
    const returns = new ExpectedReturns();
    for (let sent = 0; sent < 10_000; sent++) returns.expect(portal, 5_000, 0);
    expect(returns.deferralMs(portal, 0, true, { ms: 70_000, msPerEvent: 10 })).toBe(30_000);
    expect(returns.deferralMs(portal, 0, true, { ms: 72_000, msPerEvent: 10 })).toBe(120_000);
  });

  it('come back at a limited rate, however many they are', () => {
    const returns = new ExpectedReturns();
    const back = new Map([[0, 50_000]]);
    for (let now = 0; now < 120_000; now += 1_000) {
      const events = back.get(now) ?? 0;
      if (now > 0) arrive(returns, events, now);
      for (const [delayMs, count] of Object.entries(defer(returns, events, now))) {
        const at = now + Number(delayMs);
        back.set(at, (back.get(at) ?? 0) + count);
      }
    }
    const sum = [...back].reduce((all, [at, count]) => (at > 0 && at < 120_000 ? all + count : all), 0);
    expect(sum / 120).toBeLessThanOrEqual(500);
  });
});

/** `events` of the portal that come back at one moment. */
function expected(events: number, dueAt: number, isRepeat = false): ExpectedReturns {
  const returns = new ExpectedReturns();
  for (let sent = 0; sent < events; sent++) returns.expect(portal, dueAt, 0, isRepeat);
  return returns;
}

describe('the wait for events that come back together', () => {
  it('lasts until the last of them is there', () => {
    const returns = expected(300, 5_000);
    expect(returns.remainingMs(portal, 3_000)).toBeGreaterThan(2_000);
    arrive(returns, 299, 5_000);
    expect(returns.remainingMs(portal, 5_000)).toBeGreaterThan(0);
    expect(returns.arrived(portal, 5_100)).toBe(true);
    expect(returns.remainingMs(portal, 5_100)).toBe(0);
  });

  it('ends when they do not come: another process has them', () => {
    const returns = expected(300, 5_000);
    expect(returns.remainingMs(portal, 6_200)).toBe(50);
    expect(returns.remainingMs(portal, 6_250)).toBe(0);
  });

  it('is no longer than the portal needs for as many: one retry keeps no other event waiting', () => {
    expect(expected(1, 5_000).remainingMs(portal, 4_989)).toBe(0);
    expect(expected(1, 5_000).remainingMs(portal, 5_000)).toBe(260);
    expect(expected(10_000, 30_000).remainingMs(portal, 23_999)).toBe(0);
  });

  it('is for small groups that follow each other, which are worth it together', () => {
    const returns = new ExpectedReturns();
    for (const dueAt of [2_000, 3_000, 3_500])
      for (let sent = 0; sent < 130; sent++) returns.expect(portal, dueAt, 0);
    expect(expected(130, 2_000).remainingMs(portal, 0)).toBe(0);
    expect(returns.remainingMs(portal, 0)).toBe(4_750);
  });

  it('does not last for repeats where something else waits', () => {
    const returns = expected(10_000, 5_000, true);
    expect(returns.remainingMs(portal, 3_000)).toBeGreaterThan(2_000);
    for (const now of [3_000, 5_000, 5_100]) expect(returns.remainingMs(portal, now, true)).toBe(0);
    returns.expect(portal, 3_500, 0);
    expect(returns.remainingMs(portal, 3_495, true)).toBe(265);
  });

  it('is for no more than come back, if what was no repeat has become one', () => {
    const returns = expected(100, 5_000);
    for (let arrived = 0; arrived < 99; arrived++) returns.arrived(portal, 5_000, true);
    expect(returns.remainingMs(portal, 5_000, true)).toBe(260);
  });

  it('is for what no longer is a repeat when it comes back', () => {
    const returns = new ExpectedReturns();
    for (let sent = 0; sent < 100; sent++) returns.expect(portal, 120_000, 0, true);
    expect(returns.hasFresh(portal, 100_000)).toBe(true);
    expect(returns.remainingMs(portal, 119_500, true)).toBe(1_750);
  });

  it('is not for what a long retry brings back', () => {
    expect(expected(10_000, 600_000).remainingMs(portal, 600_000)).toBe(0);
  });

  it('knows whether one of them is no repeat', () => {
    const returns = new ExpectedReturns();
    returns.expect(portal, 5_000, 0, true);
    expect(returns.hasFresh(portal, 1_000)).toBe(false);
    returns.expect(portal, 5_000, 0);
    expect(returns.hasFresh(portal, 1_000)).toBe(true);
    returns.arrived(portal, 5_000, true);
    expect(returns.hasFresh(portal, 5_000)).toBe(true);
    returns.arrived(portal, 5_000);
    expect(returns.hasFresh(portal, 5_000)).toBe(false);
    returns.expect(portal, 5_000, 6_000);
    expect(returns.hasFresh(portal, 12_251)).toBe(false);
  });
});
