import { describe, expect, it } from '@jest/globals';
import { overflowDelayMs } from './overflow.js';

describe('what a lane has no room for', () => {
  it('comes again soon, and the later the more of it there is', () => {
    expect([0, 9_999, 10_000, 50_000, 1_000_000].map(overflowDelayMs)).toEqual([
      5_000, 5_000, 30_000, 120_000, 120_000,
    ]);
  });
});
