import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RequestBudget } from './request-budget.js';

describe('a request budget', () => {
  it('never lets through more than its burst and what it has gained since', () => {
    const steps = fc.array(fc.record({ afterMs: fc.nat(2_000), isReturned: fc.boolean() }), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(steps, (given) => {
        let nowMs = 0;
        let spent = 0;
        const budget = new RequestBudget(5, 2, 10, () => nowMs);
        for (const { afterMs, isReturned } of given) {
          nowMs += afterMs;
          if (!budget.take('one')) continue;
          if (isReturned) budget.refund('one');
          else spent += 1;
          expect(spent).toBeLessThanOrEqual(5 + (nowMs / 1_000) * 2 + 1e-9);
        }
      }),
    );
  });

  it('is one for each key, and full again after a while', () => {
    let nowMs = 0;
    const budget = new RequestBudget(1, 0.5, 10, () => nowMs);
    expect([budget.take('one'), budget.take('one'), budget.take('other')]).toEqual([true, false, true]);
    nowMs = 1_999;
    expect(budget.take('one')).toBe(false);
    nowMs = 2_000;
    expect(budget.take('one')).toBe(true);
  });
});
