import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { PortalEvent } from '@relay/events';
import { silentLog } from '@relay/platform';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../../../../../test/support/eventually.js';
import { anEvent } from '../../../../../test/support/an-event.js';
import { BusUnavailableError, type EventBus } from '@relay/bus';
import { Journal } from './journal.js';
import { JournalledBus } from './journalled-bus.js';

const limits = { maxBytes: 10_000, maxAgeMs: 60_000 };

/** A bus that can be switched up and down; its stored events can be read. */
class SwitchedBus implements EventBus {
  readonly stored: string[] = [];
  isUp = true;
  /** Rejects these although it is up. */
  readonly rejected = new Set<string>();
  /** How long it takes to store an event. */
  slowMs = 0;

  async publish({ id }: PortalEvent, deadlineMs = 50): Promise<void> {
    if (this.isUp && this.slowMs > 0) {
      await pause(Math.min(this.slowMs, deadlineMs));
      if (this.slowMs > deadlineMs) {
        this.stored.push(id);
        throw new BusUnavailableError('BUS_TIMEOUT');
      }
    }
    if (!this.isUp) throw new BusUnavailableError('BUS_DOWN');
    if (this.rejected.has(id)) throw new BusUnavailableError('BUS_REFUSED');
    this.stored.push(id);
  }
  consume(): never {
    throw new Error('not here');
  }
  isReady(): boolean {
    return this.isUp;
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

describe('the journalled bus', () => {
  let dataDir: string;
  let inner: SwitchedBus;
  const opened: JournalledBus[] = [];

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'relay-journal-'));
    inner = new SwitchedBus();
  });
  afterEach(async () => {
    for (const bus of opened.splice(0)) await bus.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  async function open(bus: EventBus = inner): Promise<JournalledBus> {
    const options = { dataDir, log: silentLog, limits, pollMs: 20, orphansMs: 20 };
    const journalled = await JournalledBus.over(bus, options);
    opened.push(journalled);
    return journalled;
  }

  it('stores events that the bus does not accept, and publishes them later under their ids', async () => {
    const bus = await open();
    inner.isUp = false;
    const events = [anEvent(), anEvent(), anEvent()];
    for (const event of events) await bus.publish(event);
    expect(inner.stored).toEqual([]);
    expect([bus.isReady(), bus.isDegraded()]).toEqual([true, true]);

    inner.isUp = true;
    await eventually(() => expect(inner.stored).toEqual(events.map(({ id }) => id)));
    expect(bus.isDegraded()).toBe(false);
  });

  it('keeps events in the journal that the bus rejects again, and retries', async () => {
    const bus = await open();
    inner.isUp = false;
    const [bad, good] = [anEvent(), anEvent()];
    inner.rejected.add(bad.id);
    await bus.publish(bad);
    await bus.publish(good);
    inner.isUp = true;
    await eventually(() => expect(inner.stored).toContain(good.id));
    inner.rejected.clear();
    await eventually(() => expect(inner.stored).toContain(bad.id));
  });

  it('does not delay events behind hundreds that the bus rejects', async () => {
    const bus = await JournalledBus.over(inner, { dataDir, log: silentLog, pollMs: 20 });
    opened.push(bus);
    inner.isUp = false;
    const bad = Array.from({ length: 450 }, () => anEvent());
    const good = Array.from({ length: 450 }, () => anEvent());
    for (const { id } of bad) inner.rejected.add(id);
    for (const event of [...bad, ...good]) await bus.publish(event);
    inner.isUp = true;
    await eventually(() => expect(inner.stored).toEqual(good.map(({ id }) => id)));
    inner.rejected.clear();
    // In any order: a page may be on its way when the bus begins to accept them.
    const expected = bad.map(({ id }) => id).toSorted();
    await eventually(() => expect(inner.stored.slice(450).toSorted()).toEqual(expected));
  });

  it('rejects an event when neither bus nor journal accepts it', async () => {
    const bus = await open();
    inner.isUp = false;
    const large = anEvent({ data: { TEXT: 'x'.repeat(20_000) } });
    await expect(bus.publish(large)).rejects.toBeInstanceOf(BusUnavailableError);
    expect(inner.stored).toEqual([]);
  });

  it('starts without a journal that cannot be opened, logs it, and opens it later', async () => {
    const folder = join(dataDir, 'journal');
    // A file in its place prevents the creation of the folder, even for root.
    writeFileSync(folder, '');
    const options = { dataDir, log: silentLog, limits, pollMs: 20, orphansMs: 20, reopenMs: 20 };
    const bus = await JournalledBus.over(inner, options);
    opened.push(bus);
    const first = anEvent();
    await bus.publish(first);
    expect(inner.stored).toEqual([first.id]);
    expect([bus.isReady(), bus.isDegraded()]).toEqual([true, true]);
    expect(await bus.status()).toMatchObject({ slot: null, isOpen: false, isBusAway: false, others: [] });
    inner.isUp = false;
    await expect(bus.publish(anEvent())).rejects.toBeInstanceOf(BusUnavailableError);
    expect(bus.isReady()).toBe(false);

    rmSync(folder);
    await eventually(() => expect(bus.isReady()).toBe(true));
    const kept = anEvent();
    await bus.publish(kept);
    inner.isUp = true;
    await eventually(() => expect(inner.stored).toEqual([first.id, kept.id]));
    expect(bus.isDegraded()).toBe(false);
  });

  it('drains the slot of a process that is gone', async () => {
    const gone = await Journal.open(join(dataDir, 'journal'), limits, silentLog);
    const bus = await open();
    const event = anEvent();
    await gone.append(event);
    await gone.close();
    await eventually(() => expect(inner.stored).toEqual([event.id]));
    expect(bus.isReady()).toBe(true);
  });

  it('drains it even when another slot cannot be read', async () => {
    const folder = join(dataDir, 'journal');
    mkdirSync(join(folder, '0'), { recursive: true });
    writeFileSync(join(folder, '0', 'CURRENT'), 'no manifest');
    const gone = await Journal.open(folder, limits, silentLog);
    await open();
    const event = anEvent();
    await gone.append(event);
    await gone.close();
    await eventually(() => expect(inner.stored).toEqual([event.id]));
  });

  it('does not publish the same events again and again to a slow bus', async () => {
    const bus = await open();
    inner.isUp = false;
    const event = anEvent();
    await bus.publish(event);
    inner.slowMs = 200;
    inner.isUp = true;
    await eventually(() => expect(inner.stored).toEqual([event.id]));
    await bus.close();
    opened.length = 0;
    const left = await Journal.open(join(dataDir, 'journal'), limits, silentLog);
    expect(left.size).toBe(0);
    await left.close();
  });

  it('does not touch the slot that another process has open', async () => {
    const down = new SwitchedBus();
    const sibling = await open(down);
    down.isUp = false;
    await open();
    await sibling.publish(anEvent());
    const marker = anEvent();
    await opened[1]?.publish(marker);
    await eventually(() => expect(inner.stored).toEqual([marker.id]));
    down.isUp = true;
    await eventually(() => expect(down.stored).toHaveLength(1));
    expect(inner.stored).toEqual([marker.id]);
  });

  it('leaves its events to the next process', async () => {
    const first = await open();
    inner.isUp = false;
    const event = anEvent();
    await first.publish(event);
    await first.close();
    opened.length = 0;
    inner.isUp = true;
    await open();
    await eventually(() => expect(inner.stored).toEqual([event.id]));
  });
});
