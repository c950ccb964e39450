import { describe, expect, it } from '@jest/globals';
import { BatchLinger } from './adaptive-batching.js';

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
    const rests = Array.from({ length: 7 }, () => {
      const rest = batching.remainingMs('a', 0, many);
      batching.released('a', true);
      return rest;
    });
    expect(rests).toEqual([200, 400, 800, 1_600, 3_200, 4_000, 4_000]);
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
