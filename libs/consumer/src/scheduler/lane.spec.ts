import { describe, expect, it } from '@jest/globals';
import { anEvent } from '../../../../test/support/an-event.js';
import { addToEntry, DeferralPolicy, type LaneReceipt, mergeEntries, newEntry } from './lane.js';

const receipt: LaneReceipt = { lost: false, deliveryCount: 0 };
const rules = { withData: false };
const ofTrace = (n: number) => anEvent({ traceparent: `trace-${n}` });
const traces = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, index) => `trace-${from + index}`);

describe('a pending entry', () => {
  it('keeps the traces of its first eight events, in a flood, too', () => {
    const entry = newEntry('a', ofTrace(0), receipt, rules);
    for (let n = 1; n < 100; n++) addToEntry(entry, ofTrace(n), receipt);
    expect(entry.traceparents).toEqual(traces(8));
    expect(entry.receipts).toHaveLength(100);
  });

  it('has no traces while nothing is traced, and begins with the first', () => {
    const entry = newEntry('a', anEvent(), receipt, rules);
    addToEntry(entry, anEvent(), receipt);
    expect(entry).not.toHaveProperty('traceparents');
    addToEntry(entry, ofTrace(0), receipt);
    expect(entry.traceparents).toEqual(traces(1));
  });

  it('keeps the traces of earlier events, then of later ones', () => {
    const earlier = newEntry('a', ofTrace(0), receipt, rules);
    const later = newEntry('a', ofTrace(1), receipt, rules);
    for (let n = 2; n < 20; n++) addToEntry(later, ofTrace(n), receipt);
    expect(mergeEntries(earlier, later).traceparents).toEqual(traces(8));
    expect(mergeEntries(newEntry('a', anEvent(), receipt, rules), later).traceparents).toEqual(traces(8, 1));
  });
});

/** Number of `events` at one moment, by their delay. */
function delays(policy: DeferralPolicy, events: number, now: number): Record<number, number> {
  const counts: Record<number, number> = {};
  for (let sent = 0; sent < events; sent++) {
    const delayMs = policy.nextDelayMs(now);
    counts[delayMs] = (counts[delayMs] ?? 0) + 1;
  }
  return counts;
}

describe('the deferral policy', () => {
  it('defers a few events for a short time, and the rest of a flood for longer', () => {
    const policy = new DeferralPolicy();
    expect(delays(policy, 100_000, 0)).toEqual({ 5_000: 2_000, 30_000: 12_000, 120_000: 86_000 });
    expect(delays(policy, 10, 4_999)).toEqual({ 120_000: 10 });
  });

  it('uses the short delay again when the first events have returned', () => {
    const policy = new DeferralPolicy();
    delays(policy, 100_000, 0);
    expect(delays(policy, 3_000, 5_000)).toEqual({ 5_000: 2_000, 120_000: 1_000 });
    expect(delays(policy, 3_000, 30_000)).toEqual({ 5_000: 2_000, 30_000: 1_000 });
  });

  it('limits the redeliveries per second, however large the flood', () => {
    const policy = new DeferralPolicy();
    const returns = new Map<number, number>();
    let waiting = 50_000;
    for (let now = 0; now < 120_000; now += 1_000) {
      const back = waiting + (returns.get(now) ?? 0);
      waiting = 0;
      for (const [delayMs, count] of Object.entries(delays(policy, back, now))) {
        const at = now + Number(delayMs);
        returns.set(at, (returns.get(at) ?? 0) + count);
      }
    }
    const until = [...returns].filter(([at]) => at < 120_000).reduce((sum, [, count]) => sum + count, 0);
    expect(until / 120).toBeLessThanOrEqual(800);
  });
});
