import { describe, expect, it } from '@jest/globals';
import { FailedAuthThrottle } from './failed-auth-throttle.js';

describe('a wrong token', () => {
  it('waits twice as long as the one before it from the same address, five seconds at most', () => {
    const throttle = new FailedAuthThrottle();
    const pauses = Array.from({ length: 8 }, () => throttle.hold('10.0.0.1'));
    expect(pauses).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    expect(throttle.hold('10.0.0.2')).toBe(100);
  });

  it('is forgotten after ten minutes without another', () => {
    let now = 0;
    const throttle = new FailedAuthThrottle(() => now);
    expect([throttle.hold('a'), throttle.hold('a')]).toEqual([100, 200]);
    now += 10 * 60_000 + 1;
    expect(throttle.hold('a')).toBe(100);
  });

  it('is held back with fifty others at most; more are rejected at once', () => {
    const throttle = new FailedAuthThrottle();
    for (let count = 0; count < 50; count += 1) expect(throttle.hold(`address ${count}`)).toBe(100);
    expect(throttle.hold('one more')).toBeUndefined();
    throttle.release();
    expect(throttle.hold('another')).toBe(100);
  });
});
