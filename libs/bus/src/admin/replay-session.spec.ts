import { describe, expect, it } from '@jest/globals';
import { ReplayRateLimiter } from './replay-session.js';

/** A fake clock that advances by each wait; each wait takes `lateMs` longer than requested. */
function limiterAt(rate: number, lateMs = 0) {
  const clock = { now: 0 };
  const rateLimiter = new ReplayRateLimiter(
    rate,
    () => clock.now,
    async (ms) => {
      clock.now += ms + lateMs;
    },
  );
  return { rateLimiter, clock };
}

describe('the rate limiter of a replay', () => {
  it('allows the first step at once, and the others at its rate', async () => {
    const { rateLimiter, clock } = limiterAt(10);
    await rateLimiter.admit();
    expect(clock.now).toBe(0);
    for (let step = 0; step < 10; step++) await rateLimiter.admit();
    expect(clock.now).toBeCloseTo(1_000);
  });

  it('keeps its rate though timers are late', async () => {
    const { rateLimiter, clock } = limiterAt(500, 1);
    for (let step = 0; step <= 500; step++) await rateLimiter.admit();
    expect(clock.now).toBeGreaterThanOrEqual(1_000);
    expect(clock.now).toBeLessThan(1_010);
  });

  it('does not make up for a stall by a burst', async () => {
    const { rateLimiter, clock } = limiterAt(10);
    await rateLimiter.admit();
    clock.now += 60_000;
    for (let step = 0; step < 12; step++) await rateLimiter.admit();
    expect(clock.now).toBeGreaterThanOrEqual(61_000 - 1);
  });
});
