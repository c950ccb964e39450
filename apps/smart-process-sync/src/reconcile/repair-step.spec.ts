import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Bitrix24Error, type Item } from '@relay/bitrix24';
import fc from 'fast-check';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { ModelPortal } from '../../test/model-portal.js';
import { toItemRow } from '../items/item-row.js';
import { type ItemRead, MirrorStore } from '../items/mirror-store.js';
import { type Findings, Progress } from '../backfill/progress.js';
import { scan } from '../keyset-scan/keyset-scan.js';
import { Comparison, RepairStep } from './repair-step.js';

const TYPE = 147;
const rowsShape = z.array(z.object({ id: z.string(), title: z.string().nullable(), state: z.string() }));
const seconds = (time: Date): string => `${time.toISOString().slice(0, 19)}+00:00`;

type Step =
  /** `told`: its event caused a read. */
  | { kind: 'change'; id: number; exists: boolean; told: boolean }
  | { kind: 'hide'; id: number; hidden: boolean }
  | { kind: 'backup' | 'restore' | 'backfill' }
  /** Two overlapping reads: the result of the first one is stored last. */
  | { kind: 'begin' | 'store'; id: number };

const ids = [1, 2, 3, 4];
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      id: fc.constantFrom(...ids),
      exists: fc.boolean(),
      told: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constant('hide' as const), id: fc.constantFrom(...ids), hidden: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('backup' as const, 'restore' as const, 'backfill' as const) }),
  fc.record({ kind: fc.constantFrom('begin' as const, 'store' as const), id: fc.constantFrom(...ids) }),
);

/** Real: PostgreSQL. Simulated: the portal, in memory. */
describe('a reconciliation', () => {
  let database: TestDatabase;
  let source: DataSource;
  let store: MirrorStore;
  let repairStep: RepairStep;

  beforeAll(async () => {
    database = await freshDatabase('apps/smart-process-sync');
    source = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    store = new MirrorStore(source);
    repairStep = new RepairStep(store, new Comparison(source));
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  /** Each run has its own portal, and this is its state in the mirror. */
  class Scenario {
    readonly portal = new ModelPortal();
    private readonly reads: { read: ItemRead; id: number; item: Record<string, unknown> | undefined }[] = [];
    private backup = new Map<number, Record<string, unknown>>();
    private changes = 0;

    constructor(readonly memberId: string) {
      this.portal.types.set(TYPE, new Map());
    }

    get items(): Map<number, Record<string, unknown>> {
      return this.portal.types.get(TYPE) ?? new Map();
    }

    async take(one: Step): Promise<void> {
      switch (one.kind) {
        case 'change':
          if (one.exists) this.change(one.id);
          else this.items.delete(one.id);
          if (one.told) await this.store(await this.begin(one.id));
          break;
        case 'hide':
          this.portal.hidden[one.hidden ? 'add' : 'delete'](`${TYPE}:${one.id}`);
          break;
        case 'backup':
          this.backup = new Map(this.items);
          break;
        case 'restore':
          this.portal.types.set(TYPE, new Map(this.backup));
          break;
        case 'backfill':
          await this.scanAll(async ({ items, read }) =>
            store.saveItems(
              read,
              items.map((item) => toItemRow(String(item.id), item)),
            ),
          );
          break;
        case 'begin':
          this.reads.push(await this.begin(one.id));
          break;
        case 'store':
          for (const read of this.reads.splice(0)) await this.store(read);
          break;
      }
    }

    change(id: number, updatedTime = seconds(new Date())): void {
      this.items.set(id, { title: `change ${++this.changes}`, updatedTime });
    }

    async reconcile(): Promise<Findings> {
      const { found } = new Progress();
      const { signal } = new AbortController();
      await this.scanAll((page) => repairStep.repair(this.portal, page, found, signal));
      return found;
    }

    async mirrored(): Promise<z.output<typeof rowsShape>> {
      return rowsShape.parse(
        await source.query(
          `SELECT item_id AS id, title, CASE WHEN deleted_at IS NOT NULL THEN 'deleted'
             WHEN hidden_at IS NOT NULL THEN 'hidden' ELSE 'shown' END AS state
           FROM mirror.items WHERE member_id = $1 ORDER BY item_id`,
          [this.memberId],
        ),
      );
    }

    async scanAll(onPage: Parameters<typeof scan>[0]['onPage']): Promise<void> {
      await scan({
        client: this.portal,
        types: [{ entityTypeId: TYPE, after: '0', lastId: '4' }],
        select: ['*'],
        beginRead: () => store.beginRead(this.memberId, TYPE),
        onPage,
        onTypeUnavailable: (_, error) => {
          throw error;
        },
        signal: new AbortController().signal,
      });
    }

    private async begin(
      id: number,
    ): Promise<{ read: ItemRead; id: number; item: Record<string, unknown> | undefined }> {
      const read = await store.beginRead(this.memberId, TYPE);
      return { read, id, item: this.items.get(id) };
    }

    private async store({
      read,
      id,
      item,
    }: {
      read: ItemRead;
      id: number;
      item: Item | Record<string, unknown> | undefined;
    }): Promise<void> {
      if (item) await store.saveItems(read, [toItemRow(String(id), { ...item, id })]);
      else await store.markDeleted(read, [String(id)]);
    }
  }

  it('ends in the state of the portal, whatever was changed, told, lost, hidden, restored and read late', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const scenario = new Scenario(`scenario-${run++}`);
        for (const one of steps) await scenario.take(one);
        await scenario.reconcile();
        const shown = (await scenario.mirrored()).filter(({ state }) => state === 'shown');
        const expected = [...scenario.items]
          .filter(([id]) => !scenario.portal.hidden.has(`${TYPE}:${id}`))
          .toSorted(([a], [b]) => a - b)
          .map(([id, { title }]) => ({ id: String(id), title, state: 'shown' }));
        expect(shown).toEqual(expected);
      }),
      { numRuns: 80 },
    );
  });

  it('says what it found, and finds nothing more the second time', async () => {
    const scenario = new Scenario('report');
    const longAgo = '2020-01-01T00:00:00+00:00';
    for (const id of ids) scenario.change(id, longAgo);
    await scenario.take({ kind: 'backfill' });
    scenario.change(1, '2019-06-01T00:00:00+00:00');
    scenario.items.delete(2);
    scenario.portal.hidden.add(`${TYPE}:3`);
    scenario.change(5, longAgo);
    const nothing = { missing: 0, stale: 0, rechecked: 0, deleted: 0, hidden: 0, unreadable: 0 };
    expect(await scenario.reconcile()).toEqual({ ...nothing, missing: 1, stale: 1, deleted: 1, hidden: 1 });
    expect((await scenario.mirrored()).map(({ id, state }) => `${id} ${state}`)).toEqual([
      '1 shown',
      '2 deleted',
      '3 hidden',
      '4 shown',
      '5 shown',
    ]);
    expect(await scenario.reconcile()).toEqual(nothing);
  });

  it('finds a second change in the second in which the item was read', async () => {
    const scenario = new Scenario('same second');
    const now = seconds(new Date());
    scenario.change(1, now);
    await scenario.take({ kind: 'backfill' });
    scenario.change(1, now);
    expect(await scenario.reconcile()).toMatchObject({ stale: 0, rechecked: 1 });
    expect(await scenario.mirrored()).toEqual([{ id: '1', title: 'change 2', state: 'shown' }]);
  });

  it.each(['QUERY_LIMIT_EXCEEDED', 'INVALID_TOKEN', 'EXPIRED_TOKEN'])(
    'skips no item when the portal rejects the whole batch with %s',
    async (code) => {
      const scenario = new Scenario(`rejected with ${code}`);
      scenario.change(1, '2020-01-01T00:00:00+00:00');
      let lists = 0;
      scenario.portal.faults.page = () =>
        ++lists > 1 ? new Bitrix24Error(code, { method: 'crm.item.list', delivered: 'yes' }) : undefined;
      await expect(scenario.reconcile()).rejects.toMatchObject({ code });
    },
  );
});
