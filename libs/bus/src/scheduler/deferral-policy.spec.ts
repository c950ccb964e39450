import { describe, expect, it } from '@jest/globals';
import { DeferralPolicy } from './deferral-policy.js';

/** How many of `events` at one moment wait how long. */
function delays(overflow: DeferralPolicy, events: number, now: number): Record<number, number> {
  const counts: Record<number, number> = {};
  for (let sent = 0; sent < events; sent++) {
    const delayMs = overflow.nextDelayMs(now);
    counts[delayMs] = (counts[delayMs] ?? 0) + 1;
  }
  return counts;
}

describe('what a lane has no room for', () => {
  it('comes again soon while it is not much, and the rest of a flood later', () => {
    const overflow = new DeferralPolicy();
    expect(delays(overflow, 100_000, 0)).toEqual({ 5_000: 2_000, 30_000: 12_000, 120_000: 86_000 });
    expect(delays(overflow, 10, 4_999)).toEqual({ 120_000: 10 });
  });

  it('may come again soon once more when the first has come', () => {
    const overflow = new DeferralPolicy();
    delays(overflow, 100_000, 0);
    expect(delays(overflow, 3_000, 5_000)).toEqual({ 5_000: 2_000, 120_000: 1_000 });
    expect(delays(overflow, 3_000, 30_000)).toEqual({ 5_000: 2_000, 30_000: 1_000 });
  });

  it('never costs the bus more than so many returns a second, however large the flood', () => {
    const overflow = new DeferralPolicy();
    const returns = new Map<number, number>();
    let waiting = 50_000;
    for (let now = 0; now < 120_000; now += 1_000) {
      const back = waiting + (returns.get(now) ?? 0);
      waiting = 0;
      for (const [delayMs, count] of Object.entries(delays(overflow, back, now))) {
        const at = now + Number(delayMs);
        returns.set(at, (returns.get(at) ?? 0) + count);
      }
    }
    const until = [...returns].filter(([at]) => at < 120_000).reduce((sum, [, count]) => sum + count, 0);
    expect(until / 120).toBeLessThanOrEqual(800);
  });
});
