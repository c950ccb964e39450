import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WaitBudget } from './wait-budget.js';

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
