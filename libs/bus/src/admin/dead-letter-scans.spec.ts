import { describe, expect, it } from '@jest/globals';
import { encodeMessage } from '@relay/events';
import { deferred } from '@relay/platform';
import { anEvent } from '../../../../test/support/an-event.js';
import { eventually } from '../../../../test/support/eventually.js';
import { DeadLetterScans, type DeadLetterScansOptions, type Scan } from './dead-letter-scans.js';
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

const anything = (): boolean => false;

describe('scans of dead letters', () => {
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
    isWanted = false;

    constructor(public size: number) {}

    scan: Scan = async (_, see, rest) => {
      this.scans += 1;
      for (let index = 0; index < this.size; index += 1) {
        if (index === this.gateAt) await this.gate;
        if (this.failure) throw this.failure;
        if (index % 1_000 === 999 && !(await rest(async () => this.isWanted))) return { more: true };
        const seen = letters[index % letters.length];
        if (seen) see({ ...seen, id: String(index), lastFailedAt: index });
        this.scanned += 1;
      }
      return { more: false };
    };
  }

  const scansOf = (store: Store, options: Partial<DeadLetterScansOptions>): DeadLetterScans =>
    new DeadLetterScans(store.scan, options);

  it('read many letters once, whatever is asked of them', async () => {
    const store = new Store(many);
    const counts = scansOf(store, { keptMs: 60_000, waitMs: 60_000 });
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
    const counts = scansOf(store, { keptMs: 60_000, waitMs: 60_000 });
    await counts.groups('names', {});
    store.size = few;
    expect((await counts.groups('names', {})).matching).toBe(many);
    counts.forget('names', undefined);
    expect((await counts.groups('names', {})).matching).toBe(few);
    store.size = 0;
    expect((await counts.groups('names', {})).matching).toBe(0);
  });

  it('are made anew when letters went while they were made', async () => {
    const store = new Store(few);
    const counts = scansOf(store, { keptMs: 60_000, waitMs: 60_000 });
    const gate = deferred<void>();
    [store.gate, store.gateAt] = [gate.promise, few / 2];
    const asked = counts.groups('names', {});
    await eventually(() => expect(store.scanned).toBe(few / 2));
    counts.forget('names', undefined);
    [store.size, store.gateAt] = [1, Infinity];
    gate.resolve();
    expect((await asked).matching).toBe(1);
  });

  it('do not keep anybody waiting: first a part, then the last count with its time', async () => {
    const store = new Store(many);
    const counts = scansOf(store, { keptMs: 60_000, waitMs: 100 });
    let gate = deferred<void>();
    [store.gate, store.gateAt] = [gate.promise, many / 2];
    await eventually(async () =>
      expect(await counts.groups('names', {})).toMatchObject({
        matching: many / 2,
        complete: false,
        countedAt: null,
      }),
    );
    gate.resolve();
    await eventually(() => expect(store.scanned).toBe(many));
    gate = deferred();
    store.gate = gate.promise;
    const last = await counts.groups('names', {});
    counts.forget('names', undefined);
    expect(last).toMatchObject({ matching: many, complete: true, countedAt: expect.any(Date) });
    store.failure = new Error('the bus is away');
    gate.resolve();
    expect(await counts.groups('names', {})).toMatchObject({ matching: many, countedAt: last.countedAt });
    expect(store.scans).toBeLessThanOrEqual(3);
  });

  it('say what failed where there is none yet, and that a consumer is gone', async () => {
    const store = new Store(many);
    const counts = scansOf(store, { keptMs: 60_000, waitMs: 60_000 });
    store.failure = new Error('the bus is away');
    await expect(counts.groups('names', {})).rejects.toThrow('the bus is away');
    store.failure = undefined;
    await counts.groups('names', {});
    counts.forget('names', undefined);
    store.failure = new NoSuchConsumerError('names');
    await expect(counts.groups('names', {})).rejects.toThrow(NoSuchConsumerError);
  });

  it('have the letters of every list, page by page, and those that went no more', async () => {
    const store = new Store(many);
    const scans = scansOf(store, { keptMs: 60_000, waitMs: 60_000 });
    const found = await scans.find('names', anything);
    const [memberId = ''] = portals;
    const first = found.index?.list({ memberId }, 100);
    expect(first).toMatchObject({ matching: many / 2, next: '198' });
    expect(first?.letters[0]).toMatchObject({
      id: '0',
      memberId,
      code: 'FAILED_0',
      lastFailedAt: new Date(0),
    });
    const second = found.index?.list({ memberId }, 100, first?.next);
    expect(second?.letters.map(({ id }) => id)).toEqual(
      Array.from({ length: 100 }, (_, n) => `${200 + 2 * n}`),
    );
    expect(found.index?.list({ since: new Date(many - 2) }, 100)).toMatchObject({
      matching: 2,
      letters: [{ id: '5998' }, { id: '5999' }],
      next: undefined,
    });
    expect(found.index?.list({}, 1, 'gone')?.letters).toMatchObject([{ id: '0' }]);
    expect(found.index?.show('7')).toMatchObject({ id: '7', content: { memberId: portals[1] } });
    scans.forget('names', ['0', '1', '198', 'unknown']);
    expect(found.index?.list({ memberId }, 100)).toMatchObject({ matching: many / 2 - 2, next: '202' });
    expect(found.index?.show('1')).toBeUndefined();
    expect((await scans.groups('names', { memberId })).matching).toBe(many / 2 - 2);
    expect(store.scanned).toBe(many);
  });

  it('give a page as soon as it is full, and none in place of one that is not reached yet', async () => {
    const store = new Store(many);
    const scans = scansOf(store, { keptMs: 60_000, waitMs: 60_000 });
    const gate = deferred<void>();
    [store.gate, store.gateAt] = [gate.promise, 500];
    const { index, ended } = await scans.find('names', ({ letters: seen }) => seen === 500);
    expect(ended).toBeUndefined();
    expect(index?.list({}, 100)).toMatchObject({ matching: 500, next: '99' });
    expect(index?.fills({}, 100)).toBe(true);
    expect(index?.fills({}, 100, '550')).toBe(false);
    expect(index?.list({}, 100, '550').letters).toEqual([]);
    gate.resolve();
    await scans.find('names', anything);
    expect(index?.list({}, 100, '550').letters[0]).toMatchObject({ id: '551' });
  });

  it('are made anew for letters since a time that the last one does not know', async () => {
    const store = new Store(many);
    const scans = scansOf(store, { keptMs: 60_000, waitMs: 60_000 });
    const { beganAt } = await scans.find('names', anything);
    await scans.find('names', anything, beganAt);
    expect(store.scans).toBe(1);
    await scans.find('names', anything, new Date(Date.now() + 60_000));
    expect(store.scans).toBe(1);
    await eventually(() => expect(Date.now()).toBeGreaterThan(beganAt.getTime()));
    const again = await scans.find('names', anything, new Date(beganAt.getTime() + 1));
    expect([store.scans, again.letters]).toEqual([2, many]);
  });

  it('end early for whoever wants the letters, and are no count then', async () => {
    const store = new Store(many);
    store.isWanted = true;
    const scans = scansOf(store, { keptMs: 60_000, waitMs: 60_000 });
    const part = await scans.find('names', anything);
    expect(part).toMatchObject({ ended: undefined, letters: 3_999 });
    store.isWanted = false;
    expect(await scans.find('names', anything)).toMatchObject({ letters: many, ended: { more: false } });
    expect(store.scans).toBe(2);
  });

  it('leave most of the time to others', async () => {
    const store = new Store(many);
    const busyMs = 5;
    const scan: Scan = (consumer, see, rest) =>
      store.scan(consumer, see, (isWanted) => {
        const until = performance.now() + busyMs;
        while (performance.now() < until);
        return rest(isWanted);
      });
    const scans = new DeadLetterScans(scan, { fewLetters: 1, waitMs: 60_000 });
    const { ended } = await scans.find('names', anything);
    // Timers are early by up to a millisecond.
    expect(ended?.tookMs).toBeGreaterThanOrEqual(6 * (busyMs + 3 * busyMs - 1));
  });

  it('keep the contents of so many letters as fit, and what is in two scans once', async () => {
    const content = Buffer.alloc(1024 * 1024, 'x');
    const scan: Scan = async (_, see) => {
      for (let index = 0; index < 20; index += 1) see({ ...letter, id: String(index), content });
      return { more: false };
    };
    const scans = new DeadLetterScans(scan, { waitMs: 60_000 });
    for (let round = 0; round < 2; round += 1) {
      const { index } = await scans.find('names', anything);
      expect(index?.show('15')).toMatchObject({ content: expect.stringMatching(/^x+$/) });
      expect(index?.show('16')).toBeUndefined();
      expect(index?.list({}, 100).matching).toBe(20);
      scans.forget('names', undefined);
    }
  });
});
