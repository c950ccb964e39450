import { describe, expect, it } from '@jest/globals';
import { DEFAULT_RETRY_DELAYS_MS, tierFor, tierName } from './retry-delays.js';

describe('retry tiers', () => {
  it('have the names used in queue names', () => {
    expect(DEFAULT_RETRY_DELAYS_MS.map(tierName)).toEqual(['5s', '30s', '2m', '10m', '1h', '6h']);
    expect(tierName(250)).toBe('250ms');
  });

  it('are chosen by rounding up, with the longest as the maximum', () => {
    expect(
      [0, 5_000, 5_001, 3_600_000, 9e9].map((afterMs) => tierFor(afterMs, DEFAULT_RETRY_DELAYS_MS)),
    ).toEqual([5_000, 5_000, 30_000, 3_600_000, 21_600_000]);
  });
});
