import { describe, expect, it } from '@jest/globals';
import { summary } from './memory.mjs';

/** One look a second. */
const samples = (bytes: number[]): { at: number; bytes: number }[] =>
  bytes.map((each, second) => ({ at: second * 1_000, bytes: each }));

describe('the memory of a phase', () => {
  it('is its peak, and the usual value in the middle and at the end, whatever jumps between', () => {
    const flat = samples([1, 1, 1, 1, 1, 7, 1, 1, 1, 1, 1]);
    expect(summary(flat)).toEqual({ peak: 7, middle: 1, end: 1 });
  });

  it('shows growth that began before the last fifth', () => {
    const { middle, end } = summary(samples(Array.from({ length: 101 }, (_, second) => 100 + second)));
    expect(middle).toBe(150);
    expect(end).toBe(190);
  });

  it('is told of a phase that was over between two looks', () => {
    expect(summary(samples([3, 4]))).toEqual({ peak: 4, middle: 3, end: 4 });
  });
});
