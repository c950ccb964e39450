import { describe, expect, it } from '@jest/globals';
import { Backoff } from './reauthorization.js';

describe('the back-off of a portal', () => {
  it('doubles from 30 s to an hour, and ends with a success', () => {
    let now = 0;
    const backoff = new Backoff(() => now);
    const waitsS: number[] = [];
    for (let times = 0; times < 9; times += 1) {
      backoff.fail('m1');
      const failedAt = now;
      while (!backoff.isDue('m1')) now += 30_000;
      waitsS.push((now - failedAt) / 1_000);
    }
    expect(waitsS).toEqual([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    expect(backoff.isDue('m2')).toBe(true);
    backoff.fail('m1');
    backoff.clear('m1');
    expect(backoff.isDue('m1')).toBe(true);
  });
});
