import { describe, expect, it } from '@jest/globals';
import { encodeMessage } from '@relay/events';
import fc from 'fast-check';
import { anEvent } from '../../../../test/support/an-event.js';
import { eventually } from '../../../../test/support/eventually.js';
import { DeadLetterGrouping, type DeadLetterGroups } from './dead-letter-groups.js';
import { DeadLetterScans, type DeadLetterScansOptions, type Scan } from './dead-letter-scans.js';
import {
  LATE_LETTERS,
  SCAN_LIMIT,
  summarize,
  type DeadLetterRecord,
  type LettersInPlace,
} from './dead-letter-store.js';

const consumer = 'names';
const portals = ['a'.repeat(32), 'b'.repeat(32)];
const contents = portals.map((memberId) => encodeMessage(anEvent({ memberId })));
const anything = (): boolean => false;

function letterOf(id: number): DeadLetterRecord {
  const content = contents[id % contents.length] ?? Buffer.alloc(0);
  const lastFailedAt = 1_764_057_600_000 + id;
  const code = `FAILED_${id % 3}`;
  return {
    id: String(id),
    consumer,
    code,
    message: `No ${id}`,
    attempts: 1,
    firstFailedAt: 1,
    lastFailedAt,
    content,
  };
}

/** Letters as PostgreSQL has them: a read is of the moment when it begins. */
class Table implements LettersInPlace {
  readonly rows = new Map<string, DeadLetterRecord>();
  lastId = 0;
  whole = 0;
  newest = 0;
  read = 0;
  failure: 'list' | 'read' | undefined;
  /** Once, while letters are being read. */
  during: (() => void) | undefined;

  die(count: number): void {
    for (let n = 0; n < count; n += 1) this.put((this.lastId += 1));
  }

  put(id: number): void {
    this.rows.set(String(id), letterOf(id));
  }

  ids(): string[] {
    return Array.from(Float64Array.from(this.rows.keys(), Number).toSorted(), String);
  }

  scan: Scan = async (_, see) => {
    await this.readIds(consumer, this.ids().slice(0, SCAN_LIMIT), see);
    return { more: this.rows.size > SCAN_LIMIT };
  };

  async listIds(_: string, known: string | undefined, limit: number): Promise<string[]> {
    if (known === undefined) this.whole += 1;
    else this.newest += 1;
    await Promise.resolve();
    if (this.failure === 'list') throw new Error('the bus is away');
    const after = known === undefined ? 0 : Number(known) - LATE_LETTERS;
    return this.ids()
      .filter((id) => Number(id) > after)
      .slice(0, limit);
  }

  async readIds(
    _: string,
    ids: readonly string[],
    see: (letter: DeadLetterRecord) => void,
  ): Promise<boolean> {
    const found = ids.flatMap((id) => this.rows.get(id) ?? []);
    const { during, failure } = this;
    this.during = undefined;
    await Promise.resolve();
    during?.();
    const seen = failure === 'read' ? found.slice(0, found.length / 2) : found;
    this.read += seen.length;
    seen.forEach(see);
    if (failure === 'read') throw new Error('the bus is away');
    return true;
  }
}

function scansOf(table: Table, options: DeadLetterScansOptions = {}): DeadLetterScans {
  return new DeadLetterScans(table.scan, {
    inPlace: table,
    fewLetters: 0,
    keptMs: 0,
    waitMs: 60_000,
    ...options,
  });
}

async function listed(scans: DeadLetterScans): Promise<string[]> {
  const { index } = await scans.find(consumer, anything);
  return [...(index?.ids() ?? [])];
}

/** Where as many letters are of two causes or portals, their order is any. */
function inOrder({ groups, matching }: DeadLetterGroups): unknown {
  const sorted = groups.map((group) => ({
    ...group,
    portals: group.portals.toSorted((one, other) => ((one.memberId ?? '') < (other.memberId ?? '') ? -1 : 1)),
  }));
  return { matching, groups: sorted.toSorted((one, other) => (one.code < other.code ? -1 : 1)) };
}

type Step =
  | { kind: 'die' | 'skip'; count: number }
  | { kind: 'commit late' | 'replay' | 'take elsewhere' | 'replay while read'; at: number }
  | { kind: 'fail'; what: 'list' | 'read' }
  | { kind: 'lose track' | 'restart' | 'look' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('die' as const), count: fc.integer({ min: 1, max: 20 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('skip' as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'commit late' as const,
        'replay' as const,
        'take elsewhere' as const,
        'replay while read' as const,
      ),
      at: fc.nat(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      what: fc.constantFrom('list' as const, 'read' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('lose track' as const, 'restart' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('look' as const) }) },
);

interface Look {
  known: string[];
  there: string[];
  /** By others, so far. */
  taken: ReadonlySet<string>;
}

/** Plays the steps, and returns what each look has found. */
async function play(
  steps: readonly Step[],
): Promise<{ table: Table; scans: DeadLetterScans; looks: Look[] }> {
  const table = new Table();
  table.die(3);
  let scans = scansOf(table, { comparedMs: 0 });
  const open: number[] = [];
  const taken = new Set<string>();
  const looks: Look[] = [];
  const replay = (id: string | undefined): void => {
    if (id === undefined) return;
    table.rows.delete(id);
    scans.forget(consumer, [id]);
  };
  for (const one of steps) {
    const ids = table.ids();
    if (one.kind === 'die') table.die(one.count);
    else if (one.kind === 'skip') for (let n = 0; n < one.count; n += 1) open.push((table.lastId += 1));
    else if (one.kind === 'commit late') {
      const [id] = open.splice(open.length && one.at % open.length, 1);
      if (id !== undefined) table.put(id);
    } else if (one.kind === 'replay') replay(ids[one.at % ids.length]);
    else if (one.kind === 'take elsewhere') {
      const id = ids[one.at % ids.length] ?? '';
      table.rows.delete(id);
      taken.add(id);
    } else if (one.kind === 'replay while read') table.during = () => replay(ids[one.at % ids.length]);
    else if (one.kind === 'lose track') scans.forget(consumer, undefined);
    else if (one.kind === 'restart') scans = scansOf(table, { comparedMs: 0 });
    else if (one.kind === 'fail') {
      table.failure = one.what;
      // Where there is nothing from before, it says so.
      await scans.find(consumer, anything).catch(() => undefined);
      table.failure = undefined;
    } else {
      const known = await listed(scans);
      looks.push({ known, there: table.ids(), taken: new Set(taken) });
    }
  }
  return { table, scans, looks };
}

/** Each look has all that is there, in order, and besides only what others have taken; the last ones nothing else. */
async function check(steps: readonly Step[]): Promise<void> {
  const { table, scans, looks } = await play(steps);
  for (const { known, there, taken } of looks) {
    const isThere = new Set(there);
    expect(known.filter((id) => isThere.has(id))).toEqual(there);
    expect(known.filter((id) => !isThere.has(id) && !taken.has(id))).toEqual([]);
  }
  await eventually(async () => expect(await listed(scans)).toEqual(table.ids()));
  const expected = new DeadLetterGrouping(consumer);
  for (const id of table.ids()) expected.add(summarize(letterOf(Number(id))));
  await eventually(async () =>
    expect(inOrder(await scans.groups(consumer, {}))).toEqual(inOrder(expected.result(true))),
  );
}

describe('what changes of letters that stay in place', () => {
  it('is known after any order of deaths, late commits, replays here and elsewhere, failures and restarts', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), check), {
      numRuns: 200,
    });
  });

  it('is read alone: the newest at each look, all ids now and then', async () => {
    const table = new Table();
    table.die(5_000);
    const scans = scansOf(table, { comparedMs: 60_000 });
    expect(await listed(scans)).toHaveLength(5_000);
    // The scan may have missed what was committed behind it.
    await listed(scans);
    expect([table.read, table.whole, table.newest]).toEqual([5_000, 1, 0]);
    for (let round = 1; round <= 10; round += 1) {
      table.die(3);
      expect(await listed(scans)).toHaveLength(5_000 + 3 * round);
    }
    expect([table.read, table.whole, table.newest]).toEqual([5_030, 1, 10]);
  });

  it('is all looked for when it is not known what was replayed, and at each look while they are few', async () => {
    const table = new Table();
    table.die(5_000);
    const scans = scansOf(table, { comparedMs: 60_000, fewLetters: 4_000 });
    for (let look = 0; look < 3; look += 1) await listed(scans);
    table.rows.delete('17');
    expect(await listed(scans)).toHaveLength(5_000);
    scans.forget(consumer, undefined);
    expect(await listed(scans)).toEqual(table.ids());
    table.rows.clear();
    table.die(2);
    scans.forget(consumer, undefined);
    expect(await listed(scans)).toEqual(['5001', '5002']);
    table.rows.delete('5001');
    table.die(1);
    expect(await listed(scans)).toEqual(['5002', '5003']);
    expect(table.read).toBe(5_003);
  });

  it('is all looked for again when a look at all has failed in the middle', async () => {
    const table = new Table();
    table.die(99);
    table.lastId += 1;
    table.die(4_900);
    const scans = scansOf(table, { comparedMs: 60_000 });
    for (let look = 0; look < 2; look += 1) await listed(scans);
    // So late that it is not among the newest.
    table.put(100);
    expect(await listed(scans)).toHaveLength(4_999);
    scans.forget(consumer, undefined);
    table.failure = 'read';
    expect(await listed(scans)).toHaveLength(4_999);
    table.failure = undefined;
    expect(await listed(scans)).toEqual(table.ids());
  });

  it('is bounded: the oldest are known, and the next ones when some of those are gone', async () => {
    const table = new Table();
    table.die(SCAN_LIMIT + 30);
    const scans = scansOf(table, { comparedMs: 0 });
    const oldest = (): string => table.ids().slice(0, SCAN_LIMIT).join();
    for (let look = 0; look < 2; look += 1) {
      const found = await scans.find(consumer, anything);
      expect(found.ended).toMatchObject({ more: true });
      expect([...(found.index?.ids() ?? [])].join() === oldest()).toBe(true);
    }
    const some = Array.from({ length: 10 }, (_, n) => String(11 + n));
    for (const id of some) table.rows.delete(id);
    scans.forget(consumer, some);
    expect((await listed(scans)).join() === oldest()).toBe(true);
    for (let id = 21; id <= 40; id += 1) table.rows.delete(String(id));
    scans.forget(consumer, undefined);
    expect((await listed(scans)).join() === oldest()).toBe(true);
    expect((await scans.find(consumer, anything)).ended).toMatchObject({ more: false });
  });

  it('is scanned anew by the usual pauses for a consumer whose letters were given up', async () => {
    const table = new Table();
    table.die(10);
    const scans = scansOf(table, { keptMs: undefined });
    const found = await scans.find(consumer, anything);
    found.index = undefined;
    table.die(10);
    await scans.groups(consumer, {});
    expect(table.read).toBe(10);
    scans.forget(consumer, undefined);
    expect(await listed(scans)).toEqual(table.ids());
  });
});
