import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { encodeMessage } from '@relay/events';
import { silentLog } from '@relay/platform';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { anEvent } from '../../../../../test/support/an-event.js';
import { Journal, type JournalLimits } from './journal.js';
import { openSlot, type Slot } from './slot.js';

const limits: JournalLimits = { maxBytes: 1024 ** 2, maxAgeMs: 60_000 };

describe('the journal', () => {
  let folder: string;
  const opened = new Set<Journal>();

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'relay-journal-'));
  });
  afterEach(async () => {
    for (const journal of opened) await journal.close();
    opened.clear();
    jest.useRealTimers();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(changes: Partial<JournalLimits> = {}): Promise<Journal> {
    const journal = await Journal.open(folder, { ...limits, ...changes }, silentLog);
    opened.add(journal);
    return journal;
  }

  async function close(journal: Journal): Promise<void> {
    opened.delete(journal);
    await journal.close();
  }

  async function overSlot(change: (slot: Slot) => void): Promise<Journal> {
    const slot = await openSlot(folder, 0);
    if (!slot) throw new Error('the slot is taken');
    change(slot);
    const journal = await Journal.over(slot, 0, limits, silentLog);
    opened.add(journal);
    return journal;
  }

  /**
   * Rewrites the event as if another version had written it. @returns its key afterwards, without the quarantine
   * prefix
   */
  async function rewriteVersion(id: string, v: number): Promise<string | undefined> {
    const slot = await openSlot(folder, 0);
    let found: string | undefined;
    for await (const [key, content] of slot?.iterator() ?? []) {
      const message = z.looseObject({ id: z.string() }).parse(JSON.parse(content.toString()));
      if (message.id !== id) continue;
      await slot?.put(key, Buffer.from(JSON.stringify({ ...message, v })));
      found = key.replace(/^x/, '');
    }
    await slot?.close();
    return found;
  }

  it('returns appended events in order and with their ids', async () => {
    const journal = await open();
    const events = Array.from({ length: 600 }, () => anEvent());
    await Promise.all(events.map((event) => journal.append(event)));
    expect(journal.size).toBe(600);

    const entries = await journal.oldest(1_000);
    expect(entries.map(({ event }) => event)).toEqual(events);
    expect(journal.bytes).toBe(entries.reduce((sum, { bytes }) => sum + bytes, 0));
  });

  it('syncs what it writes, many events with one write', async () => {
    const writes: unknown[][] = [];
    const journal = await overSlot((slot) => {
      const batch = slot.batch.bind(slot);
      jest.spyOn(slot, 'batch').mockImplementation((...args: Parameters<typeof batch>) => {
        writes.push(args);
        return batch(...args);
      });
    });
    await Promise.all(Array.from({ length: 300 }, () => journal.append(anEvent())));
    expect(writes.map(([puts]) => (Array.isArray(puts) ? puts.length : 0))).toEqual([256, 44]);
    expect(writes.map(([, options]) => options)).toEqual([{ sync: true }, { sync: true }]);
  });

  it('keeps and counts its events across a restart', async () => {
    const first = await open();
    const events = [anEvent(), anEvent(), anEvent()];
    for (const event of events) await first.append(event);
    const [entry] = await first.oldest(1);
    if (entry) await first.remove([entry]);
    const { bytes, oldestAt } = first;
    await close(first);

    const second = await open();
    expect(second).toMatchObject({ number: 0, size: 2, bytes, oldestAt });
    const left = await second.oldest(10);
    expect(left.map(({ event }) => event)).toEqual(events.slice(1));
  });

  it('has one slot per process: a second opener takes the next slot', async () => {
    const [first, second] = [await open(), await open()];
    expect([first.number, second.number]).toEqual([0, 1]);
    await close(first);
    expect(await open()).toMatchObject({ number: 0 });
  });

  it('rejects events beyond its size limit, and accepts them when there is room again', async () => {
    const journal = await open({ maxBytes: 1_000 });
    const event = anEvent();
    while (journal.bytes < 700) await journal.append(event);
    await expect(journal.append(anEvent({ data: { TEXT: 'x'.repeat(400) } }))).rejects.toMatchObject({
      code: 'JOURNAL_FULL',
    });

    await journal.remove(await journal.oldest(100));
    expect(journal).toMatchObject({ size: 0, bytes: 0, oldestAt: undefined });
    await journal.append(event);
    expect(journal.size).toBe(1);
  });

  it('rejects events while its oldest is too old, and drops nothing', async () => {
    const journal = await open({ maxAgeMs: 1_000 });
    await journal.append(anEvent());
    jest.useFakeTimers({
      doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'],
      now: Date.now() + 2_000,
    });
    expect(journal.isOpen()).toBe(false);
    await expect(journal.append(anEvent())).rejects.toMatchObject({ code: 'JOURNAL_FULL' });
    expect(await journal.oldest(10)).toHaveLength(1);
  });

  it('rejects an event that could not be synced, and accepts the next when the disk does', async () => {
    const journal = await overSlot((slot) => {
      jest.spyOn(slot, 'batch').mockImplementationOnce(() => {
        throw new Error('IO error: No space left on device');
      });
    });
    await expect(journal.append(anEvent())).rejects.toMatchObject({ code: 'JOURNAL_UNWRITABLE' });
    const event = anEvent();
    await journal.append(event);
    expect((await journal.oldest(10)).map((entry) => entry.event)).toEqual([event]);
  });

  it('is not open after a failed write until a probe finds that the disk accepts writes again', async () => {
    const journal = await overSlot((slot) => {
      jest.spyOn(slot, 'batch').mockImplementationOnce(() => {
        throw new Error('IO error: No space left on device');
      });
    });
    await expect(journal.append(anEvent())).rejects.toMatchObject({ code: 'JOURNAL_UNWRITABLE' });
    expect(journal.isOpen()).toBe(false);
    await journal.probeDisk();
    expect(journal.isOpen()).toBe(true);
  });

  it('does not return events again whose removal the disk rejected', async () => {
    let isFull = false;
    const journal = await overSlot((slot) => {
      const batch = slot.batch.bind(slot);
      jest.spyOn(slot, 'batch').mockImplementation((...args: Parameters<typeof batch>) => {
        if (isFull) throw new Error('IO error: No space left on device');
        return batch(...args);
      });
    });
    const [published, left] = [anEvent(), anEvent()];
    await journal.append(published);
    await journal.append(left);
    isFull = true;
    await expect(journal.remove(await journal.oldest(1))).rejects.toThrow('No space');
    await expect(journal.oldest(10)).rejects.toThrow('No space');
    isFull = false;
    expect((await journal.oldest(10)).map(({ event }) => event)).toEqual([left]);
    expect(journal.size).toBe(1);
  });

  it('recounts its events after a failed write, which may have succeeded', async () => {
    let written: Promise<void> | undefined;
    const journal = await overSlot((slot) => {
      jest.spyOn(slot, 'batch').mockImplementationOnce(() => {
        written = slot.put('000000000000001-1', encodeMessage(anEvent()));
        throw new Error('IO error: fsync');
      });
    });
    await expect(journal.append(anEvent())).rejects.toMatchObject({ code: 'JOURNAL_UNWRITABLE' });
    await written;
    await journal.append(anEvent());
    expect(journal.size).toBe(2);
    await journal.remove(await journal.oldest(10));
    expect(journal).toMatchObject({ size: 0, bytes: 0, oldestAt: undefined });
  });

  it('does not overwrite an event when the clock goes back', async () => {
    const first = await open();
    const events = [anEvent(), anEvent(), anEvent(), anEvent()];
    const later = Date.now() + 5_000;
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'], now: later });
    for (const event of events.slice(0, 2)) await first.append(event);
    await close(first);
    jest.setSystemTime(later);
    const second = await open();
    await second.append(events[2] ?? anEvent());
    jest.setSystemTime(later - 4_000);
    await second.append(events[3] ?? anEvent());
    expect((await second.oldest(10)).map(({ event }) => event)).toEqual(events);
  });

  it('quarantines and counts events of a newer version, and returns them once they can be read', async () => {
    const journal = await open();
    const [read, later] = [anEvent(), anEvent()];
    await journal.append(read);
    await journal.append(later);
    await close(journal);
    const newerKey = await rewriteVersion(later.id, 2);

    for (let start = 1; start <= 3; start += 1) {
      const older = await open();
      expect((await older.oldest(10)).map(({ event }) => event)).toEqual([read]);
      expect(older).toMatchObject({ size: 1, newer: 1, unreadable: 0 });
      await close(older);
    }
    await rewriteVersion(later.id, 1);
    const upgraded = await open();
    expect(upgraded).toMatchObject({ size: 2, newer: 0, unreadable: 0 });
    const entries = await upgraded.oldest(10);
    expect(entries.map(({ event }) => event)).toEqual([read, later]);
    expect(entries[1]?.key).toBe(newerKey);
    await upgraded.remove(entries);
    expect(upgraded).toMatchObject({ size: 0, newer: 0, unreadable: 0 });
  });

  it('quarantines unreadable events, and goes on with the others', async () => {
    const journal = await overSlot(() => undefined);
    const event = anEvent();
    await journal.append(event);
    await close(journal);
    const slot = await openSlot(folder, 0);
    await slot?.put('000000000000001-1', Buffer.from('{"v":0}'));
    await slot?.close();

    const again = await open();
    expect(again.size).toBe(2);
    const entries = await again.oldest(10);
    expect(entries.map((entry) => entry.event)).toEqual([event]);
    expect(again).toMatchObject({ size: 1, newer: 0, unreadable: 1 });
    await close(again);
    const after = await openSlot(folder, 0);
    expect(await after?.get('x000000000000001-1')).toEqual(Buffer.from('{"v":0}'));
    await after?.close();
  });

  it('rejects events after it was closed', async () => {
    const journal = await open();
    await close(journal);
    await expect(journal.append(anEvent())).rejects.toMatchObject({ code: 'JOURNAL_CLOSED' });
  });
});
