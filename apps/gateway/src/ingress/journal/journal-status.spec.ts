import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { anEvent } from '../../../../../test/support/an-event.js';
import { BusUnavailableError, type EventBus } from '@relay/bus';
import { Journal } from './journal.js';
import { JournalledBus } from './journalled-bus.js';

const limits = { maxBytes: 10_000, maxAgeMs: 60_000 };

const busThatIsAway: EventBus = {
  publish: () => Promise.reject(new BusUnavailableError('BUS_DOWN')),
  consume: () => Promise.reject(new BusUnavailableError('BUS_DOWN')),
  isReady: () => false,
  close: () => Promise.resolve(),
};

/** Real: the journal and its folder. Fake: a bus that is down. */
describe('the journal status', () => {
  let dataDir: string;
  let bus: JournalledBus;
  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'relay-journal-'));
    bus = await JournalledBus.over(busThatIsAway, { dataDir, log: silentLog, limits });
  });
  afterEach(async () => {
    await bus.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('shows the events of this gateway, its limits, and that the bus is down', async () => {
    expect(await bus.status()).toEqual({
      slot: 0,
      events: 0,
      bytes: 0,
      oldestAt: null,
      newer: 0,
      unreadable: 0,
      limits,
      isOpen: true,
      isBusAway: true,
      others: [],
    });
    const before = Date.now();
    await bus.publish(anEvent());
    await bus.publish(anEvent());
    const status = await bus.status();
    expect(status).toMatchObject({ events: 2, bytes: expect.any(Number) });
    expect(status.bytes).toBeGreaterThan(200);
    expect(status.oldestAt?.getTime()).toBeGreaterThanOrEqual(before);
  });

  it('shows that the journal accepts no more events', async () => {
    const folder = join(dataDir, 'elsewhere');
    const strict = { maxBytes: 10_000, maxAgeMs: -1 };
    const full = await JournalledBus.over(busThatIsAway, { dataDir: folder, log: silentLog, limits: strict });
    await full.publish(anEvent());
    expect(await full.status()).toMatchObject({ isOpen: false });
    await full.close();
  });

  it('shows which other slots are held, orphaned or unreadable, without changing any', async () => {
    const folder = join(dataDir, 'journal');
    const sibling = await Journal.open(folder, limits, silentLog);
    const left = await Journal.open(folder, limits, silentLog);
    await left.append(anEvent());
    await left.close();
    mkdirSync(join(folder, '7'));
    writeFileSync(join(folder, '7', 'CURRENT'), 'no LevelDB');
    const expected = [
      { slot: 1, state: 'held' },
      {
        slot: 2,
        state: 'orphaned',
        events: 1,
        bytes: expect.any(Number),
        oldestAt: expect.any(Date),
        newer: 0,
        unreadable: 0,
      },
      { slot: 7, state: 'unreadable' },
    ];
    for (let looks = 0; looks < 2; looks++) expect((await bus.status()).others).toEqual(expected);
    await sibling.close();
  });
});
