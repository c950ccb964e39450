import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WaitBudget } from './wait-budget.js';

describe('holds', () => {
  it('let a lane wait again and again, and in all never longer than the most', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2_000), { minLength: 1, maxLength: 50 }), (waits) => {
        const holds = new WaitBudget(1_000);
        let now = 5;
        let heldMs = 0;
        for (const waitMs of waits) {
          if (holds.extend('a', waitMs, now)) heldMs += waitMs;
          else heldMs = 0;
          expect(heldMs).toBeLessThanOrEqual(1_000);
          now += heldMs === 0 ? 0 : waitMs;
        }
      }),
    );
  });

  it('begin anew when a batch got through', () => {
    const holds = new WaitBudget(1_000);
    expect(holds.extend('a', 900, 0)).toBe(true);
    holds.end('a');
    expect(holds.since('a')).toBeUndefined();
    expect(holds.extend('a', 900, 900)).toBe(true);
  });
});
