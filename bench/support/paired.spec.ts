import { describe, expect, it } from '@jest/globals';
import { estimate } from './paired.mjs';

const spread = (count: number): number[] => Array.from({ length: count }, (_, n) => n / (count - 1));

describe('the estimate of a median', () => {
  it('is the median, in an interval that narrows with more values', () => {
    const [few, many] = [estimate(spread(11)), estimate(spread(401))];
    expect(few.median).toBeCloseTo(0.5);
    expect(many.median).toBeCloseTo(0.5);
    for (const { least, most } of [few, many]) {
      expect(least).toBeLessThan(0.5);
      expect(most).toBeGreaterThan(0.5);
    }
    expect(many.most - many.least).toBeLessThan((few.most - few.least) / 3);
  });

  it('does not follow one value that is far off, and is the same each time', () => {
    const values = [0.01, 0.02, 0.02, 0.03, 0.03, 0.03, 0.04, 0.04, 9];
    expect(estimate(values)).toEqual(estimate(values));
    expect(estimate(values).most).toBeLessThan(0.05);
  });
});
