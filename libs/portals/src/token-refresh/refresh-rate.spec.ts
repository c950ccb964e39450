import { describe, expect, it } from '@jest/globals';
import { checkRefreshRate } from './token-refresh.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const granted = new Date('2026-11-29T12:00:00Z');

function judged(ageMs: number, earlyRefreshes: number, acceptedAt: Date | null = null, lifetimeMs = HOUR) {
  const expiresAt = new Date(granted.getTime() + lifetimeMs);
  const pair = { updatedAt: granted, expiresAt, earlyRefreshes, acceptedAt };
  return checkRefreshRate(pair, MINUTE, granted.getTime() + ageMs);
}

describe('a token refresh caused by a portal', () => {
  it('is made at once when the token has lived its time; if the portal took it, the row of early ones is over', () => {
    for (const earlyRefreshes of [0, 1, 50]) {
      expect(judged(HOUR, earlyRefreshes, granted)).toEqual({ earlyRefreshes: 0 });
      expect(judged(HOUR, earlyRefreshes)).toEqual({ earlyRefreshes });
    }
  });

  it('is made at once for the first pair, though it was granted a moment ago', () => {
    expect(judged(10, 0)).toEqual({ earlyRefreshes: 1 });
  });

  it('is made once a minute, and ever later, for pairs that were granted for it and never taken', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 20].map((count) => judged(0, count));
    const minutes = [1, 2, 4, 8, 16, 32, 60, 60];
    expect(waits).toEqual(minutes.map((many) => ({ waitMs: many * MINUTE })));
    expect(judged(MINUTE, 1)).toEqual({ earlyRefreshes: 2 });
  });

  it('is made at once a few times for pairs that the portal has taken, as when its sessions are ended', () => {
    expect([1, 4].map((count) => judged(0, count, granted))).toEqual([
      { earlyRefreshes: 2 },
      { earlyRefreshes: 5 },
    ]);
    expect(judged(0, 5, granted)).toEqual({ waitMs: MINUTE });
  });

  it('is not made more often because the OAuth server grants short lives', () => {
    expect(judged(5_000, 1, null, 1_000)).toEqual({ waitMs: 55_000 });
  });

  it.each([
    ['never takes one', () => false, 30],
    ['takes every one at first', () => true, 150],
    ['takes every second one', (number: number) => number % 2 === 0, 150],
  ])('is rare, should a portal ask for ever that %s', (_, takes, most) => {
    let [nowMs, exchanges, earlyRefreshes] = [0, 0, 0];
    while (nowMs < 24 * HOUR) {
      const acceptedAt = takes(exchanges) ? granted : null;
      const soon = judged(0, earlyRefreshes, acceptedAt);
      const waitMs = 'waitMs' in soon ? soon.waitMs : 0;
      const then = judged(waitMs, earlyRefreshes, acceptedAt);
      if ('waitMs' in then) throw new Error('it had waited');
      nowMs += waitMs;
      exchanges += 1;
      ({ earlyRefreshes } = then);
    }
    expect(exchanges).toBeLessThanOrEqual(most);
  });
});
