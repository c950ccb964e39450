import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Bucket, Buckets } from './bucket.js';

const limits = { rate: 2, burst: 50 };

function takeMany(bucket: Bucket, attempts: number, nowMs: number): number {
  let taken = 0;
  for (let attempt = 0; attempt < attempts; attempt += 1) taken += Number(bucket.take(nowMs));
  return taken;
}

describe('the bucket', () => {
  it('takes X requests at once and rejects the next', () => {
    expect(takeMany(new Bucket(limits, 0), 80, 0)).toBe(50);
  });

  it('leaks Y in one step a second, and nothing in between', () => {
    const bucket = new Bucket(limits, 0);
    takeMany(bucket, 50, 0);
    expect([999, 1000, 1999, 2000, 2500].map((nowMs) => takeMany(bucket, 10, nowMs))).toEqual([
      0, 2, 0, 2, 0,
    ]);
  });

  it('never falls below empty', () => {
    const bucket = new Bucket(limits, 0);
    expect(takeMany(bucket, 80, 3_600_000)).toBe(50);
  });

  it('is not filled by what it rejects', () => {
    const bucket = new Bucket(limits, 0);
    takeMany(bucket, 5000, 0);
    expect(takeMany(bucket, 10, 1000)).toBe(2);
  });

  it('never lets more through than X and Y a second, whenever they come', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 400 }), (gapsMs) => {
        const bucket = new Bucket({ rate: 2, burst: 10 }, 0);
        let nowMs = 0;
        let taken = 0;
        for (const gapMs of gapsMs) {
          nowMs += gapMs;
          taken += Number(bucket.take(nowMs));
        }
        expect(taken).toBeLessThanOrEqual(10 + 2 * Math.floor(nowMs / 1000));
      }),
    );
  });

  it('is one for each address of a caller', () => {
    const buckets = new Buckets({ rate: 2, burst: 1 });
    expect([buckets.take('a', 0), buckets.take('a', 0), buckets.take('b', 0)]).toEqual([true, false, true]);
  });
});
