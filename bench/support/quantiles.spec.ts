import { describe, expect, it } from '@jest/globals';
import { median, quantile } from './quantiles.mjs';

describe('quantiles', () => {
  const waits = Array.from({ length: 500 }, (_, index) => 500 - index);

  it('are values that were measured, of which so many are not greater', () => {
    expect(quantile(waits, 0.99)).toBe(495);
    expect(quantile(waits, 1)).toBe(500);
    expect(median([30, 10, 20])).toBe(20);
  });

  it('count what never came among the greatest', () => {
    expect(quantile([1, Infinity, 2], 0.99)).toBe(Infinity);
    expect(median([1, Infinity, 2])).toBe(2);
  });

  it('are not made of nothing', () => {
    expect(() => quantile([], 0.5)).toThrow(RangeError);
  });
});
