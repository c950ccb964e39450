import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { toItemRow } from './item-row.js';
import { MIRROR_MIGRATIONS } from './migrations.js';
import { type ItemRead, MirrorStore } from './mirror-store.js';

const TYPE = 147;
const storedRows = z.array(z.object({ item_id: z.string(), title: z.string() }));

let database: TestDatabase;
let source: DataSource;
let store: MirrorStore;

beforeAll(async () => {
  database = await freshDatabase(MIRROR_MIGRATIONS);
  source = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  store = new MirrorStore(source);
});

afterAll(async () => {
  await source.destroy();
  await database.drop();
});

async function livingItems(memberId: string): Promise<z.output<typeof storedRows>> {
  const rows: unknown = await source.query(
    'SELECT item_id, title FROM mirror.items WHERE member_id = $1 AND deleted_at IS NULL ORDER BY item_id',
    [memberId],
  );
  return storedRows.parse(rows);
}

type Step =
  | { kind: 'change'; id: number; exists: boolean }
  /** An event handler: takes its read number, asks the portal, stores the response; other steps come between. */
  | { kind: 'begin'; ids: number[] }
  | { kind: 'ask' | 'store'; which: number };

interface RunningRead {
  read: ItemRead;
  ids: number[];
  found?: Map<number, string>;
}

const itemIds = [1, 2, 3];
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('change' as const),
      id: fc.constantFrom(...itemIds),
      exists: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('begin' as const), ids: fc.subarray(itemIds, { minLength: 1 }) }),
    fc.record({ kind: fc.constantFrom('ask' as const, 'store' as const), which: fc.nat(5) }),
  ),
  { maxLength: 25 },
);

/** A portal that changes while reads of it overlap. */
class Scenario {
  private readonly portal = new Map<number, string>();
  private readonly reads: RunningRead[] = [];
  private changes = 0;

  constructor(readonly memberId: string) {}

  async take(step: Step): Promise<void> {
    if (step.kind === 'change') {
      if (step.exists) this.portal.set(step.id, `change ${++this.changes}`);
      else this.portal.delete(step.id);
    } else if (step.kind === 'begin') {
      const read = await store.beginRead(this.memberId, TYPE);
      this.reads.push({ read, ids: step.ids });
    } else {
      const running = this.reads[step.which];
      if (!running) return;
      this.ask(running);
      if (step.kind === 'store') await this.store(running);
    }
  }

  /** The events of the last changes cause one more read of every item; other reads may end before or after it. */
  async end(order: readonly number[]): Promise<void> {
    await this.take({ kind: 'begin', ids: itemIds });
    const rest = this.reads.map((running, i) => ({ running, place: order[i] ?? 0 }));
    for (const { running } of rest) this.ask(running);
    for (const { running } of rest.toSorted((a, b) => a.place - b.place)) await this.store(running);
  }

  expected(): { item_id: string; title: string }[] {
    const items = [...this.portal].toSorted(([a], [b]) => a - b);
    return items.map(([id, title]) => ({ item_id: String(id), title }));
  }

  private ask(running: RunningRead): void {
    running.found ??= new Map([...this.portal].filter(([id]) => running.ids.includes(id)));
  }

  private async store({ read, ids, found }: RunningRead): Promise<void> {
    if (!found) throw new Error('the portal was not asked');
    const rows = [...found].map(([id, title]) => toItemRow(String(id), { id, title }));
    const absent = ids.filter((id) => !found.has(id)).map(String);
    await store.saveItems(read, rows);
    await store.markDeleted(read, absent);
  }
}

describe('reads that overlap', () => {
  it('end in the state of the portal, whatever was added, changed and deleted and whichever read ends last', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(steps, fc.array(fc.nat(), { minLength: 26, maxLength: 26 }), async (taken, order) => {
        const scenario = new Scenario(`scenario-${run++}`);
        for (const step of taken) await scenario.take(step);
        await scenario.end(order);
        expect(await livingItems(scenario.memberId)).toEqual(scenario.expected());
      }),
      { numRuns: 300 },
    );
  });
});
