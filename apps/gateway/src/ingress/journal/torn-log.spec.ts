import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { PortalEvent } from '@relay/events';
import { silentLog } from '@relay/platform';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { anEvent } from '../../../../../test/support/an-event.js';
import { Journal } from './journal.js';

jest.setTimeout(180_000);

const limits = { maxBytes: 1024 ** 2, maxAgeMs: 60_000 };

/** LevelDB writes every batch into a log file and syncs it; after a kill, that file ends at any byte. */
describe('a journal whose process was killed at any byte', () => {
  let folder: string;
  let written: string;
  let torn: string;
  /** Size of the log when the event had been synced. */
  const synced: { event: PortalEvent; upTo: number }[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'relay-torn-'));
    [written, torn] = [join(folder, 'written'), join(folder, 'torn')];
    synced.length = 0;
    const journal = await Journal.open(written, limits, silentLog);
    for (let events = 0; events < 2; events += 1) {
      const event = anEvent();
      await journal.append(event);
      synced.push({ event, upTo: statSync(logOf(written)).size });
    }
    // The disk state after a SIGKILL: not closed.
    cpSync(written, join(folder, 'killed'), { recursive: true });
    await journal.close();
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function reopened(change: (log: string) => void): Promise<PortalEvent[]> {
    rmSync(torn, { recursive: true, force: true });
    cpSync(join(folder, 'killed'), torn, { recursive: true });
    change(logOf(torn));
    const journal = await Journal.open(torn, limits, silentLog);
    try {
      expect(journal.number).toBe(0);
      return (await journal.oldest(10)).map(({ event }) => event);
    } finally {
      await journal.close();
    }
  }

  const syncedBy = (size: number): PortalEvent[] =>
    synced.filter(({ upTo }) => upTo <= size).map(({ event }) => event);

  it('opens with everything that had been synced by then, at every single byte', async () => {
    const size = synced.at(-1)?.upTo ?? 0;
    expect(size).toBeGreaterThan(400);
    for (let cut = 0; cut <= size; cut += 1) {
      expect({ cut, events: await reopened((log) => truncateSync(log, cut)) }).toEqual({
        cut,
        events: syncedBy(cut),
      });
    }
  });

  it.each([
    ['zeros', 0],
    ['noise', 0xa5],
  ])('also where the disk had room for more and put %s there', async (_what, filler) => {
    const size = synced.at(-1)?.upTo ?? 0;
    for (let cut = 0; cut <= size; cut += 13) {
      const events = await reopened((log) => {
        const whole = readFileSync(log);
        writeFileSync(log, whole.fill(filler, cut));
      });
      expect({ cut, events }).toEqual({ cut, events: syncedBy(cut) });
    }
  });

  it('accepts and keeps further events', async () => {
    const last = synced.at(-1)?.upTo ?? 0;
    await reopened((log) => truncateSync(log, last - 1));
    const journal = await Journal.open(torn, limits, silentLog);
    const more = anEvent();
    await journal.append(more);
    await journal.close();
    const again = await Journal.open(torn, limits, silentLog);
    expect((await again.oldest(10)).map(({ event }) => event)).toEqual([...syncedBy(last - 1), more]);
    await again.close();
  });
});

function logOf(journal: string): string {
  const slot = join(journal, '0');
  const name = readdirSync(slot).findLast((file) => file.endsWith('.log'));
  if (name === undefined) throw new Error('LevelDB has no log');
  return join(slot, name);
}
