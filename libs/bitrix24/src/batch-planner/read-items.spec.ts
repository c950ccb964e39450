import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { type Behaviour, ModelPortal } from '../../test/model-portal.js';
import type { Command, CommandOutcome } from '../rest/batch.js';
import { Bitrix24Error } from '../rest/errors.js';
import { type ItemOutcome, readItems as readEach } from './read-items.js';

/** The outcomes, after a check that each belongs to its own query. */
async function readItems(
  ...[client, queries, options]: Parameters<typeof readEach>
): Promise<Map<string, ItemOutcome>[]> {
  const ended = await readEach(client, queries, options);
  expect(ended.map(([query]) => query)).toEqual(queries);
  return ended.map(([, outcomes]) => outcomes);
}

const listParams = z.object({ entityTypeId: z.number(), filter: z.object({ '@id': z.array(z.string()) }) });

function askedBy({ params }: Command): { entityTypeId: number; ids: string[] } {
  const { entityTypeId, filter } = listParams.parse(params);
  return { entityTypeId, ids: filter['@id'] };
}

/** Lists the items for which `has` is true. */
function portalWith(has: (entityTypeId: number, id: string) => boolean): ModelPortal {
  const portal = new ModelPortal();
  portal.answer = (command) => {
    const { entityTypeId, ids } = askedBy(command);
    const items = ids.filter((id) => has(entityTypeId, id)).map((id) => ({ id: Number(id), entityTypeId }));
    return { ok: true, result: { items } };
  };
  return portal;
}

function answering(portal: ModelPortal, outcomeOf: (command: Command) => CommandOutcome | undefined): void {
  const { answer } = portal;
  portal.answer = (command) => outcomeOf(command) ?? answer(command);
}

const upTo = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index + 1));
const statesOf = (outcomes: Map<string, ItemOutcome> | undefined): string[] =>
  [...(outcomes?.values() ?? [])].map(({ state }) => state);

const someAreThere = (type: number, id: string): boolean => (type + Number(id)) % 3 !== 0;
const isRejected = (type: number): boolean => type % 7 === 0;

describe('items', () => {
  it('of many types are read by one request, and each is found or absent', async () => {
    const portal = portalWith((type, id) => type === 3 || id === '2');
    const [contacts, orders] = await readItems(portal, [
      { entityTypeId: 3, ids: [1, '2'] },
      { entityTypeId: 147, ids: ['1', '2'] },
    ]);

    expect(portal.sent).toHaveLength(1);
    expect([...(contacts ?? [])]).toEqual([
      ['1', { state: 'found', item: { id: 1, entityTypeId: 3 } }],
      ['2', { state: 'found', item: { id: 2, entityTypeId: 3 } }],
    ]);
    expect([...(orders ?? [])]).toEqual([
      ['1', { state: 'absent' }],
      ['2', { state: 'found', item: { id: 2, entityTypeId: 147 } }],
    ]);
  });

  it('are read 2,500 per request, of one type or of five', async () => {
    const one = portalWith(() => true);
    await readItems(one, [{ entityTypeId: 3, ids: upTo(2500) }]);
    const five = portalWith(() => true);
    await readItems(
      five,
      [3, 147, 148, 149, 150].map((entityTypeId) => ({ entityTypeId, ids: upTo(500) })),
    );
    expect([one, five].map(({ sent }) => sent.map(({ names }) => names.length))).toEqual([[50], [50]]);
  });

  it('with invalid ids are absent, without a request', async () => {
    const portal = portalWith(() => true);
    const [outcomes] = await readItems(portal, [{ entityTypeId: 3, ids: ['', 'abc', 0, -1, 1.5, '1 OR 1'] }]);
    expect(statesOf(outcomes)).toEqual(Array.from({ length: 6 }, () => 'absent'));
    expect(portal.sent).toHaveLength(0);
  });

  it('of a failing type do not affect other types', async () => {
    const portal = portalWith(() => true);
    answering(portal, (command) =>
      askedBy(command).entityTypeId === 147
        ? { ok: false, error: new Bitrix24Error('ACCESS_DENIED') }
        : undefined,
    );
    const results = await readItems(portal, [
      { entityTypeId: 3, ids: [1] },
      { entityTypeId: 147, ids: [1] },
      { entityTypeId: 148, ids: [1] },
    ]);
    expect(results.map((outcomes) => outcomes.get('1'))).toMatchObject([
      { state: 'found' },
      { state: 'failed', error: { code: 'ACCESS_DENIED' } },
      { state: 'found' },
    ]);
  });

  it.each([
    ['others than it was asked for', { items: [{ id: 77 }] }],
    ['others beside those', { items: [{ id: 1 }, { id: 77 }] }],
    ['no list', { items: 'none' }],
    ['items without an id', { items: [{ title: 'x' }] }],
  ])('are not absent because a command answered with %s', async (_, result) => {
    const portal = portalWith(() => true);
    answering(portal, (command) => (askedBy(command).ids.includes('1') ? { ok: true, result } : undefined));
    const [outcomes] = await readItems(portal, [{ entityTypeId: 3, ids: upTo(60) }]);

    const expected = upTo(60).map((id) => (Number(id) <= 50 ? 'failed' : 'found'));
    expect(statesOf(outcomes)).toEqual(expected);
    expect(outcomes?.get('2')).toMatchObject({ error: { code: 'BAD_ANSWER', memberId: 'm1' } });
  });

  it('that are not read before an abort fail with its reason', async () => {
    const portal = portalWith(() => true);
    const signal = AbortSignal.abort(new Error('enough'));
    const [outcomes] = await readItems(portal, [{ entityTypeId: 3, ids: [1] }], { signal });
    expect(outcomes?.get('1')).toEqual({ state: 'failed', error: new Error('enough') });
  });

  it('are found, absent or failed by their own answer only, for any failures', async () => {
    const query = fc.record({
      entityTypeId: fc.integer({ min: 1, max: 200 }),
      ids: fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 250, size: 'max' }),
    });
    const failures: Behaviour[] = [
      { failure: new Bitrix24Error('TIMEOUT', { delivered: 'unknown' }) },
      { failure: new Bitrix24Error('BAD_ANSWER', { httpStatus: 502 }) },
      { failure: new Bitrix24Error('OVERLOAD_LIMIT', { httpStatus: 503 }) },
    ];
    const behaviour = fc.oneof<fc.Arbitrary<Behaviour>[]>(
      fc.record({ ticksBefore: fc.nat(3), ticksAfter: fc.nat(3) }),
      fc.constantFrom(...failures),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(query, { maxLength: 20 }),
        fc.array(behaviour, { maxLength: 6 }),
        async (queries, behaviours) => {
          const portal = portalWith(someAreThere);
          portal.behaviours = [...behaviours];
          answering(portal, (command) =>
            isRejected(askedBy(command).entityTypeId)
              ? { ok: false, error: new Bitrix24Error('ACCESS_DENIED') }
              : undefined,
          );
          const results = await readItems(portal, queries);
          const right = (type: number, id: string): ItemOutcome['state'] => {
            if (isRejected(type)) return 'failed';
            return someAreThere(type, id) ? 'found' : 'absent';
          };
          const wrong = queries.flatMap(({ entityTypeId, ids }, index) => {
            expect(results[index]?.size).toBe(new Set(ids).size);
            return [...(results[index] ?? [])].filter(([id, outcome]) => {
              if (outcome.state === 'found' && outcome.item.id !== Number(id)) return true;
              return outcome.state !== right(entityTypeId, id) && outcome.state !== 'failed';
            });
          });
          expect(wrong).toEqual([]);
          const commands = queries.reduce((sum, { ids }) => sum + Math.ceil(new Set(ids).size / 50), 0);
          const failed = portal.sent.filter(({ failure }) => failure !== undefined).length;
          // After a failure parts of the request are resent, or nothing more.
          expect(failed > 0 || portal.sent.length === Math.ceil(commands / 50)).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });
});
