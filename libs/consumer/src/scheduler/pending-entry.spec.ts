import { describe, expect, it } from '@jest/globals';
import { anEvent } from '../../../../test/support/an-event.js';
import { addToEntry, type LaneReceipt, mergeEntries, newEntry } from './pending-entry.js';

const receipt: LaneReceipt = { lost: false, deliveryCount: 0 };
/** Data that is not kept. */
const none = 0;
const ofTrace = (n: number) => anEvent({ traceparent: `trace-${n}` });
const traces = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, index) => `trace-${from + index}`);

const offline = () => newEntry('a', anEvent({ source: 'offline' }), receipt, none);

describe('a pending entry', () => {
  it('keeps the traces of its first eight events, in a flood, too', () => {
    const entry = newEntry('a', ofTrace(0), receipt, none);
    for (let n = 1; n < 100; n++) addToEntry(entry, ofTrace(n), receipt, none);
    expect(entry.traceparents).toEqual(traces(8));
    expect(entry.receipts).toHaveLength(100);
  });

  it('has no traces while nothing is traced, and begins with the first', () => {
    const entry = newEntry('a', anEvent(), receipt, none);
    addToEntry(entry, anEvent(), receipt, none);
    expect(entry).not.toHaveProperty('traceparents');
    addToEntry(entry, ofTrace(0), receipt, none);
    expect(entry.traceparents).toEqual(traces(1));
  });

  it('has the source of its events while all have the same', () => {
    const entry = offline();
    addToEntry(entry, anEvent({ source: 'offline' }), receipt, none);
    expect(mergeEntries(entry, offline()).source).toBe('offline');
    expect(mergeEntries(offline(), newEntry('a', anEvent(), receipt, none))).not.toHaveProperty('source');
    addToEntry(entry, anEvent(), receipt, none);
    addToEntry(entry, anEvent({ source: 'offline' }), receipt, none);
    expect(entry).not.toHaveProperty('source');
  });

  it('keeps the traces of earlier events, then of later ones', () => {
    const earlier = newEntry('a', ofTrace(0), receipt, none);
    const later = newEntry('a', ofTrace(1), receipt, none);
    for (let n = 2; n < 20; n++) addToEntry(later, ofTrace(n), receipt, none);
    expect(mergeEntries(earlier, later).traceparents).toEqual(traces(8));
    expect(mergeEntries(newEntry('a', anEvent(), receipt, none), later).traceparents).toEqual(traces(8, 1));
  });
});
