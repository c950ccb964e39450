import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BatchLinger, WaitBudget } from './lane-timing.js';

const many = 10_000;
const times = (): BatchLinger =>
  new BatchLinger({ firstMs: 200, maxMs: 4_000, lingerMs: 500, lingerPerEntryMs: 10 });

describe('the linger of a lane', () => {
  it('counts from the beginning of the last batch', () => {
    expect(times().remainingMs('a', 50, 1)).toBe(150);
  });

  it('is zero after a batch that took longer', () => {
    expect(times().remainingMs('a', 30_000, many)).toBe(0);
  });

  it('doubles while there is always work, up to its bound', () => {
    const batching = times();
    const coolDowns = Array.from({ length: 7 }, () => {
      const rest = batching.remainingMs('a', 0, many);
      batching.released('a', true);
      return rest;
    });
    expect(coolDowns).toEqual([200, 400, 800, 1_600, 3_200, 4_000, 4_000]);
  });

  it('is short for few entries, however long there has been work', () => {
    const batching = times();
    for (let batch = 0; batch < 10; batch += 1) batching.released('a', true);
    expect([0, 1, 5, 100, 350, many].map((pending) => batching.remainingMs('a', 0, pending))).toEqual([
      500, 510, 550, 1_500, 4_000, 4_000,
    ]);
  });

  it('restarts for a lane that became idle, independently of the others', () => {
    const batching = times();
    for (const portal of ['a', 'a', 'b']) batching.released(portal, true);
    batching.released('a', false);
    expect(batching.remainingMs('a', 0, many)).toBe(200);
    expect(batching.remainingMs('b', 0, many)).toBe(400);
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
