import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { toItemRow } from './item-row.js';
import { type ItemRead, MirrorStore } from './mirror-store.js';

const TYPE = 147;
const storedRows = z.array(z.looseObject({ item_id: z.string(), title: z.string().nullable() }));

let database: TestDatabase;
let source: DataSource;
let store: MirrorStore;

beforeAll(async () => {
  database = await freshDatabase('apps/smart-process-sync');
  source = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  store = new MirrorStore(source);
});

afterAll(async () => {
  await source.destroy();
  await database.drop();
});

async function rowsOf(memberId: string): Promise<z.output<typeof storedRows>> {
  const rows: unknown = await source.query(
    'SELECT * FROM mirror.items WHERE member_id = $1 ORDER BY item_id',
    [memberId],
  );
  return storedRows.parse(rows);
}

describe('MirrorStore', () => {
  it('stores items with the columns that people query', async () => {
    const read = await store.beginRead('columns', TYPE);
    const item = {
      id: 5,
      title: 'Order',
      stageId: 'DT147_9:NEW',
      categoryId: 9,
      assignedById: 1,
      createdBy: 2,
      updatedBy: '3',
      createdTime: '2024-07-22T18:00:08+02:00',
      updatedTime: '2024-07-23T18:00:08+02:00',
      movedTime: '2024-07-23T19:00:08+02:00',
      opportunity: 1250.5,
      currencyId: 'EUR',
      ufCrm5_1: ['a'],
    };
    await store.saveItems(read, [toItemRow('5', item)]);
    expect(await rowsOf('columns')).toEqual([
      {
        member_id: 'columns',
        entity_type_id: TYPE,
        item_id: '5',
        title: 'Order',
        stage_id: 'DT147_9:NEW',
        category_id: 9,
        assigned_by_id: 1,
        created_by_id: 2,
        updated_by_id: 3,
        created_time: new Date('2024-07-22T16:00:08Z'),
        updated_time: new Date('2024-07-23T16:00:08Z'),
        moved_time: new Date('2024-07-23T17:00:08Z'),
        opportunity: '1250.5',
        currency_id: 'EUR',
        fields: item,
        deleted_at: null,
        hidden_at: null,
        read_number: read.number,
        read_at: read.at,
      },
    ]);
  });

  it('stores more than one statement takes, in whatever order it comes', async () => {
    const ids = Array.from({ length: 1_201 }, (_, index) => String(1 + ((index * 7) % 1_201)));
    const rows = ids.map((id) => toItemRow(id, { id, title: `Order ${id}` }));
    await store.saveItems(await store.beginRead('many', TYPE), rows);
    const stored = await rowsOf('many');
    expect(stored.map(({ title }) => title)).toEqual(
      Array.from({ length: 1_201 }, (_, index) => `Order ${index + 1}`),
    );
  });

  it('keeps what was known of a deleted item, and when it was first missed', async () => {
    await store.saveItems(await store.beginRead('deleted', TYPE), [
      toItemRow('5', { id: 5, title: 'Order' }),
    ]);
    await store.markDeleted(await store.beginRead('deleted', TYPE), ['5']);
    const [first] = await rowsOf('deleted');
    await store.markDeleted(await store.beginRead('deleted', TYPE), ['5']);
    const [second] = await rowsOf('deleted');
    expect(first).toMatchObject({ title: 'Order', deleted_at: expect.any(Date) });
    expect(second).toHaveProperty('deleted_at', first?.['deleted_at']);
  });

  it('brings back an item that was restored from the recycle bin', async () => {
    await store.markDeleted(await store.beginRead('restored', TYPE), ['5']);
    await store.saveItems(await store.beginRead('restored', TYPE), [
      toItemRow('5', { id: 5, title: 'Again' }),
    ]);
    expect(await rowsOf('restored')).toMatchObject([{ title: 'Again', deleted_at: null }]);
  });

  it('does not let an older read bring back a deleted item that it was the first to see', async () => {
    const older = await store.beginRead('ghost', TYPE);
    await store.markDeleted(await store.beginRead('ghost', TYPE), ['5']);
    await store.saveItems(older, [toItemRow('5', { id: 5, title: 'Ghost' })]);
    expect(await rowsOf('ghost')).toMatchObject([{ title: null, deleted_at: expect.any(Date) }]);
  });

  it('keeps portals and smart processes apart', async () => {
    await store.saveItems(await store.beginRead('apart-1', TYPE), [toItemRow('5', { id: 5, title: 'One' })]);
    await store.saveItems(await store.beginRead('apart-1', 148), [toItemRow('5', { id: 5, title: 'Two' })]);
    await store.markDeleted(await store.beginRead('apart-2', TYPE), ['5']);
    expect(await rowsOf('apart-1')).toMatchObject([
      { title: 'One', deleted_at: null },
      { title: 'Two', deleted_at: null },
    ]);
  });

  it('stores an item whatever is in its fields, beside the others', async () => {
    const anything = fc.oneof(
      fc.jsonValue({ stringUnit: 'binary', maxDepth: 4 }),
      fc.string({ unit: fc.constantFrom('\0', '\uD83D', '\uDE00', 'a', '\\', '"') }),
      fc.constantFrom(1e308, -0, '9999-12-31T23:59:59-14:00', '0001-01-01T00:00:00+14:00'),
    );
    const names = ['title', 'stageId', 'categoryId', 'assignedById', 'createdTime', 'updatedTime', 'uf\0'];
    const items = fc.array(fc.dictionary(fc.constantFrom(...names), anything), {
      minLength: 1,
      maxLength: 8,
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(items, async (fields) => {
        const memberId = `anything-${run++}`;
        const rows = fields.map((item, i) => toItemRow(String(i + 1), { ...item, id: i + 1 }));
        await store.saveItems(await store.beginRead(memberId, TYPE), rows);
        expect(await rowsOf(memberId)).toHaveLength(rows.length);
      }),
      { numRuns: 200 },
    );
  });
});

const livingRows = z.array(z.object({ item_id: z.string(), title: z.string() }));

async function livingItems(memberId: string): Promise<z.output<typeof livingRows>> {
  const rows: unknown = await source.query(
    'SELECT item_id, title FROM mirror.items WHERE member_id = $1 AND deleted_at IS NULL ORDER BY item_id',
    [memberId],
  );
  return livingRows.parse(rows);
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
