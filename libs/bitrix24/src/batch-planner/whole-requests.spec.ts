import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ModelPortal } from '../../test/model-portal.js';
import { names, sizes, update } from '../../test/writes.js';
import { wholeRequests } from './whole-requests.js';
import { type Write, writeAll } from './write-all.js';

/** Each of an entity of its own. */
const writes = (count: number): Write[] => names(count).map((name) => update(name, name));
/** A text that a portal would substitute in a batch: it is sent by `call`. */
const alone = (entity: string): Write => ({
  entity,
  command: { method: 'crm.item.update', params: { name: '$result[a]' } },
});

/** Waits beside the batch. */
const waiting =
  (entries: number) =>
  (atLeast: number): boolean =>
    entries >= atLeast;
const one = waiting(1);

describe('whole requests', () => {
  it('are as many as the writes fill; the last ones are left', () => {
    const all = writes(123);
    expect(wholeRequests(all, one)).toEqual({ whole: all.slice(0, 100), left: all.slice(100) });
  });

  it('leave nothing of writes that fill none, nor of those that fill all', () => {
    for (const count of [0, 1, 49, 50, 100]) expect(wholeRequests(writes(count), one).left).toEqual([]);
  });

  it('leave writes that fill none where half a request more is there, but none that has a request of its own', () => {
    for (const count of [0, 1, 49])
      expect(wholeRequests(writes(count), waiting(25))).toEqual({ whole: [], left: writes(count) });
    expect(wholeRequests(writes(49), waiting(24)).left).toEqual([]);
    expect(wholeRequests([...writes(1), alone('x')], waiting(25)).whole).toEqual([alone('x')]);
  });

  it('leave nothing where nothing waits', () => {
    for (const count of [1, 51, 123])
      expect(wholeRequests(writes(count), waiting(0))).toEqual({ whole: writes(count), left: [] });
  });

  it('leave nothing that has a request of its own', () => {
    const all = [...writes(51), alone('x')];
    expect(wholeRequests(all, one).left).toEqual([all[50]]);
  });

  it('leave all writes of an entity, or none', () => {
    const two = [update('a', 'both'), update('b', 'both')];
    const all = writes(52);
    expect(wholeRequests([...all, ...two], one).left).toEqual([...all.slice(50), ...two]);
    // Both are more than is too much.
    expect(wholeRequests([...all.slice(0, 49), ...two], one).left).toEqual([]);
  });

  it('have all writes in order, and no request of them that is not full, if each is of another entity', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(400), async (count) => {
        const all = writes(count);
        const { whole, left } = wholeRequests(all, one);
        expect([...whole, ...left]).toEqual(all);
        const portal = new ModelPortal();
        await writeAll(portal, whole);
        expect(sizes(portal).every((size) => size === 50) || left.length === 0).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('have what was left before and comes first now', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 49 }),
        fc.array(fc.integer({ min: 1, max: 4 })),
        (first, counts) => {
          const before = writes(first);
          const since = counts.flatMap((count, index) =>
            Array.from({ length: count }, (_, write) => update(`s${write}`, `${index}`)),
          );
          const { left } = wholeRequests([...before, ...since], one);
          expect(before.some((write) => left.includes(write))).toBe(false);
        },
      ),
    );
  });

  it('never separate the writes of an entity, nor lose one', () => {
    const some = fc.array(
      fc.record({ entity: fc.nat(40).map(String), isAlone: fc.nat(50).map((odds) => odds === 0) }),
      { maxLength: 200, size: 'max' },
    );
    fc.assert(
      fc.property(some, (kinds) => {
        const all = kinds.map(({ entity, isAlone }, index) =>
          isAlone ? alone(entity) : update(`w${index}`, entity),
        );
        const { whole, left } = wholeRequests(all, one);
        expect(all.filter((write) => !left.includes(write))).toEqual(whole);
        expect(left.length).toBeLessThan(50);
        const entities = new Set(left.map(({ entity }) => entity));
        expect(whole.some(({ entity }) => entities.has(entity))).toBe(false);
      }),
    );
  });
});
