import { describe, expect, it } from '@jest/globals';
import { encodeMessage } from '@relay/events';
import { deferred } from '@relay/platform';
import { anEvent } from '../../../../test/support/an-event.js';
import { eventually } from '../../../../test/support/eventually.js';
import { DeadLetterCounts, DeadLetterGrouping } from './dead-letter-groups.js';
import { NoSuchConsumerError, type DeadLetterRecord } from './dead-letter-store.js';

const letter: DeadLetterRecord = {
  id: '1',
  consumer: 'names',
  code: 'FAILED',
  message: 'No',
  attempts: 1,
  firstFailedAt: undefined,
  lastFailedAt: undefined,
  content: Buffer.from('no event'),
};

describe('dead letters by cause', () => {
  it('count what cannot be read, and what has no time', () => {
    const grouping = new DeadLetterGrouping('names');
    grouping.add(letter);
    expect(grouping.result(true)).toEqual({
      groups: [
        {
          consumer: 'names',
          code: 'FAILED',
          message: 'No',
          letters: 1,
          portals: [{ memberId: null, letters: 1 }],
          portalCount: 1,
          events: [{ event: null, letters: 1 }],
          firstDiedAt: null,
          lastDiedAt: null,
        },
      ],
      matching: 1,
      complete: true,
      countedAt: expect.any(Date),
    });
  });

  it('have the message of the last one that died, without secrets', () => {
    const grouping = new DeadLetterGrouping('names');
    grouping.add({ ...letter, message: 'new, auth=0123456789abcdef0123456789abcdef', lastFailedAt: 2_000 });
    grouping.add({ ...letter, message: 'old', lastFailedAt: 1_000 });
    const [group] = grouping.result(true).groups;
    expect(group?.message).toMatch(/^new/);
    expect(group?.message).not.toContain('0123456789abcdef');
    expect([group?.firstDiedAt, group?.lastDiedAt]).toEqual([new Date(1_000), new Date(2_000)]);
  });

  it('are bounded, however many causes there are, and say so', () => {
    const grouping = new DeadLetterGrouping('names');
    for (let code = 0; code < 1_000; code += 1) grouping.add({ ...letter, code: `FAILED_${code}` });
    const { groups, matching, complete } = grouping.result(true);
    expect([groups.length, matching, complete]).toEqual([200, 1_000, false]);
  });
});

describe('counts of dead letters', () => {
  const [many, few] = [6_000, 100];
  const portals = ['a'.repeat(32), 'b'.repeat(32)];
  const letters: DeadLetterRecord[] = portals.map((memberId, index) => ({
    ...letter,
    code: `FAILED_${index}`,
    content: encodeMessage(anEvent({ memberId })),
  }));

  /** A store with so many letters, of two portals and causes in turns; a scan waits for its gate. */
  class Store {
    scanned = 0;
    scans = 0;
    failure: Error | undefined;
    gate: Promise<void> = Promise.resolve();
    /** After so many letters the gate is closed. */
    gateAt = Infinity;

    constructor(public size: number) {}

    scan = async (_: string, see: (seen: DeadLetterRecord) => void): Promise<{ more: boolean }> => {
      this.scans += 1;
      for (let index = 0; index < this.size; index += 1) {
        if (index === this.gateAt) await this.gate;
        if (this.failure) throw this.failure;
        const seen = letters[index % letters.length];
        if (seen) see(seen);
        this.scanned += 1;
      }
      return { more: false };
    };
  }

  it('read many letters once, whatever is asked of them', async () => {
    const store = new Store(many);
    const counts = new DeadLetterCounts(store.scan, 60_000, 60_000);
    expect(await counts.groups('names', {})).toMatchObject({ matching: many, complete: true });
    for (const [index, memberId] of portals.entries()) {
      const { groups, matching } = await counts.groups('names', { memberId });
      expect(groups).toMatchObject([{ code: `FAILED_${index}`, letters: many / 2, portalCount: 1 }]);
      expect(matching).toBe(many / 2);
      expect((await counts.groups('names', { memberId, code: `FAILED_${1 - index}` })).groups).toEqual([]);
    }
    await Promise.all(Array.from({ length: 50 }, () => counts.groups('names', {})));
    expect(store.scanned).toBe(many);
  });

  it('are made anew after a replay or a drop, and for each look while they are few', async () => {
    const store = new Store(many);
    const counts = new DeadLetterCounts(store.scan, 60_000, 60_000);
    await counts.groups('names', {});
    store.size = few;
    expect((await counts.groups('names', {})).matching).toBe(many);
    counts.outdate('names');
    expect((await counts.groups('names', {})).matching).toBe(few);
    store.size = 0;
    expect((await counts.groups('names', {})).matching).toBe(0);
  });

  it('are made anew when letters went while they were made', async () => {
    const store = new Store(few);
    const counts = new DeadLetterCounts(store.scan, 60_000, 60_000);
    const gate = deferred<void>();
    [store.gate, store.gateAt] = [gate.promise, few / 2];
    const asked = counts.groups('names', {});
    await eventually(() => expect(store.scanned).toBe(few / 2));
    counts.outdate('names');
    [store.size, store.gateAt] = [1, Infinity];
    gate.resolve();
    expect((await asked).matching).toBe(1);
  });

  it('do not keep anybody waiting: first a part, then the last count with its time', async () => {
    const store = new Store(many);
    const counts = new DeadLetterCounts(store.scan, 0, 1);
    let gate = deferred<void>();
    [store.gate, store.gateAt] = [gate.promise, many / 2];
    expect(await counts.groups('names', {})).toMatchObject({
      matching: many / 2,
      complete: false,
      countedAt: null,
    });
    gate.resolve();
    await eventually(() => expect(store.scanned).toBe(many));
    gate = deferred();
    store.gate = gate.promise;
    const last = await counts.groups('names', {});
    expect(last).toMatchObject({ matching: many, complete: true, countedAt: expect.any(Date) });
    store.failure = new Error('the bus is away');
    gate.resolve();
    expect(await counts.groups('names', {})).toMatchObject({ matching: many, countedAt: last.countedAt });
    expect(store.scans).toBeLessThanOrEqual(3);
  });

  it('say what failed where there is none yet, and that a consumer is gone', async () => {
    const store = new Store(many);
    const counts = new DeadLetterCounts(store.scan, 0, 60_000);
    store.failure = new Error('the bus is away');
    await expect(counts.groups('names', {})).rejects.toThrow('the bus is away');
    store.failure = undefined;
    await counts.groups('names', {});
    store.failure = new NoSuchConsumerError('names');
    await expect(counts.groups('names', {})).rejects.toThrow(NoSuchConsumerError);
  });
});
