import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nextPollInMs, MIN_RECORD_AGE_MS, SIGNALLED_MS } from './schedule.js';

const modes = ['both', 'offline'] as const;

describe('the pause between two polls', () => {
  it('is longer than records rest, so that those that were too fresh are taken by the next', () => {
    expect(nextPollInMs('both', 0, false, 0.5)).toBeGreaterThan(MIN_RECORD_AGE_MS);
    expect(nextPollInMs('both', 1, false, 0.5)).toBe(nextPollInMs('both', 0, false, 0.5));
  });

  it('grows while nothing is found, to less than one request a minute at an idle portal', () => {
    for (const mode of modes) {
      const pauses = [1, 2, 3, 4, 100].map((empty) => nextPollInMs(mode, empty, false, 0));
      expect(pauses).toEqual(pauses.toSorted((one, other) => one - other));
      expect(pauses.at(-1)).toBeGreaterThan(60_000);
    }
  });

  it('is long after records that were signalled: those came online, and the next signal is heard', () => {
    expect(nextPollInMs('both', 0, true, 0.5)).toBe(nextPollInMs('both', 100, false, 0.5));
    expect(nextPollInMs('both', 0, true, 0)).toBeGreaterThan(SIGNALLED_MS);
  });

  it('is never the same for all portals, and differs by a fifth at most', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...modes),
        fc.nat(1_000),
        fc.boolean(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (mode, empty, isSignalled, random) => {
          const middle = nextPollInMs(mode, empty, isSignalled, 0.5);
          const pause = nextPollInMs(mode, empty, isSignalled, random);
          expect(Math.abs(pause - middle)).toBeLessThanOrEqual(0.2 * middle + 1);
        },
      ),
    );
  });
});
