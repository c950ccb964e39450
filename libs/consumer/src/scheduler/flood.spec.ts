import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { runFlood } from '../../test/flood-model.js';

/** Four reads of 2,500 and 200 writes of fifty. */
const LEAST = 204;
/** After a burst of fifty, two a second. */
const LEAST_MS = 77_000;

describe('ten thousand contacts that change at once', () => {
  beforeEach(() => {
    // Events that become due in the same quarter of a second are one group: not at another time in each run.
    jest.useFakeTimers({ now: 1_700_000_000_000 });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it.each([
    { arriveWithinMs: 4_000, deliveriesPerSecond: 3_000, echoMs: 300, latencyMs: 100 },
    { arriveWithinMs: 11_000, deliveriesPerSecond: 1_300, echoMs: 200, latencyMs: 60 },
    { arriveWithinMs: 27_000, deliveriesPerSecond: 900, echoMs: 400, latencyMs: 200 },
    { arriveWithinMs: 30_000, deliveriesPerSecond: 1_500, echoMs: 300, latencyMs: 100 },
  ])(
    'take at most 1.05 times the least requests and the least time, when they arrive within $arriveWithinMs ms',
    async (pattern) => {
      const { requests, partial, ms, deferrals } = await runFlood({ contacts: 10_000, ...pattern });
      expect(requests / LEAST).toBeLessThanOrEqual(1.05);
      expect(ms / LEAST_MS).toBeLessThanOrEqual(1.05);
      // The very first contact, for which nothing waits, and the last ones.
      expect(partial).toBeLessThanOrEqual(3);
      // Each deferral costs the bus a redelivery; there are 20,000 events with those of our own writes.
      expect(deferrals).toBeLessThan(30_000);
    },
    60_000,
  );

  it('take no more requests at a portal that needs 116 ms for each update', async () => {
    const pattern = { arriveWithinMs: 20_000, deliveriesPerSecond: 2_000, echoMs: 300, latencyMs: 50 };
    const { requests, deferrals } = await runFlood({ contacts: 10_000, ...pattern, updateMs: 116 });
    expect(requests / LEAST).toBeLessThanOrEqual(1.05);
    // In five minutes: each comes back when the lane is about to have room.
    expect(deferrals).toBeLessThan(45_000);
  }, 60_000);
});
