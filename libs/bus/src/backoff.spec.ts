import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { backoffMs, waitAtMost } from './backoff.js';

describe('the back-off', () => {
  it('doubles, with jitter, and ends at ten seconds', () => {
    expect([1, 2, 3, 7, 8, 1_000].map((failures) => backoffMs(failures, () => 1))).toEqual([
      100, 200, 400, 6_400, 10_000, 10_000,
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 1 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
        const fullMs = backoffMs(failures, () => 1);
        const delayMs = backoffMs(failures, () => random);
        expect(delayMs).toBeGreaterThanOrEqual(fullMs / 2);
        expect(delayMs).toBeLessThanOrEqual(fullMs);
      }),
    );
  });
});

describe('a wait with a timeout', () => {
  it('returns the result of the work, or undefined on timeout', async () => {
    expect(await waitAtMost(Promise.resolve('done'), 1_000)).toBe('done');
    expect(await waitAtMost(new Promise(() => undefined), 1)).toBeUndefined();
    await expect(waitAtMost(Promise.reject(new Error('boom')), 1_000)).rejects.toThrow('boom');
  });
});
