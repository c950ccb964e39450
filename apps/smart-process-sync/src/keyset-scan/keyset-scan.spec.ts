import { describe, expect, it } from '@jest/globals';
import { Bitrix24Error } from '@relay/bitrix24';
import fc from 'fast-check';
import { ModelPortal } from '../../test/model-portal.js';
import { type ScanPage, scan, type ScanOptions } from './keyset-scan.js';

let reads = 0;

async function scanAll(portal: ModelPortal, options: Partial<ScanOptions> = {}): Promise<ScanPage[]> {
  const pages: ScanPage[] = [];
  await scan({
    client: portal,
    types: [...portal.types].map(([entityTypeId, items]) => ({
      entityTypeId,
      after: '0',
      lastId: String(Math.max(0, ...items.keys())),
    })),
    select: ['*'],
    beginRead: (entityTypeId) =>
      Promise.resolve({ memberId: 'model', entityTypeId, number: String(++reads), at: new Date() }),
    onPage: async (page) => void pages.push(page),
    onTypeUnavailable: () => undefined,
    signal: new AbortController().signal,
    ...options,
  });
  return pages;
}

function idsOf(pages: readonly ScanPage[], entityTypeId: number): number[] {
  return pages
    .filter((page) => page.entityTypeId === entityTypeId)
    .flatMap(({ items }) => items.map(({ id }) => Number(id)));
}

function filled(counts: Record<number, number>): ModelPortal {
  const portal = new ModelPortal();
  for (const [type, count] of Object.entries(counts)) {
    portal.types.set(Number(type), new Map());
    for (let id = 1; id <= count; id++) portal.put(Number(type), id, { title: `item ${id}` });
  }
  return portal;
}

function tooLong(): Bitrix24Error {
  return new Bitrix24Error('BAD_ANSWER', { detail: 'too-long', recovery: 'never', delivered: 'yes' });
}

describe('a keyset scan', () => {
  it('brings each once, in order, whatever ids are missing and how many types there are', async () => {
    const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9_000 }), { maxLength: 400 });
    const types = fc.dictionary(fc.constantFrom('128', '131', '147', '150'), ids, { minKeys: 1 });
    await fc.assert(
      fc.asyncProperty(types, async (contents) => {
        const portal = new ModelPortal();
        for (const [type, numbers] of Object.entries(contents)) {
          portal.types.set(Number(type), new Map());
          for (const id of numbers) portal.put(Number(type), id);
        }
        const pages = await scanAll(portal);
        for (const [type, numbers] of Object.entries(contents)) {
          expect(idsOf(pages, Number(type))).toEqual(numbers.toSorted((a, b) => a - b));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('covers all ids without a gap, the last page to the end', async () => {
    const pages = await scanAll(filled({ 147: 5_120 }));
    expect(pages.map(({ after, last, isEnd }) => [after, last, isEnd])).toEqual([
      ['0', '2500', false],
      ['2500', '5000', false],
      ['5000', '5120', true],
    ]);
  });

  it('reads 2,500 items a request, and small types together', async () => {
    const large = filled({ 147: 10_000 });
    await scanAll(large);
    // One more page shows whether an item was added since.
    expect(large.requests).toBe(5);
    const small = filled(Object.fromEntries(Array.from({ length: 24 }, (_, index) => [128 + index, 30])));
    await scanAll(small);
    expect(small.requests).toBe(1);
  });

  it('takes no request more for types whose last pages are full', async () => {
    const portal = filled({ 128: 2_500, 131: 2_500, 147: 2_500, 150: 2_500, 155: 2_500 });
    const pages = await scanAll(portal);
    // One more page of each shows whether items were added since: five pages.
    expect(portal.requests).toBe(6);
    for (const type of portal.types.keys()) expect(idsOf(pages, type)).toHaveLength(2_500);
  });

  it('hands over one page at a time, and reads no further than two requests ahead of it', async () => {
    const portal = filled({ 147: 10_000, 150: 10_000, 155: 10_000 });
    let handed = 0;
    let inFlight = 0;
    await scanAll(portal, {
      onPage: async () => {
        inFlight += 1;
        handed += 1;
        expect(inFlight).toBe(1);
        // Until no more requests come.
        for (let before = -1; before !== portal.requests;) {
          before = portal.requests;
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(portal.requests).toBeLessThanOrEqual(handed + 2);
        inFlight -= 1;
      },
    });
    expect(handed).toBeGreaterThan(12);
  });

  it('finds what comes behind the last id while it scans', async () => {
    const portal = filled({ 147: 120 });
    const pages: ScanPage[] = [];
    await scanAll(portal, {
      types: [{ entityTypeId: 147, after: '0', lastId: '50' }],
      onPage: async (page) => {
        if (pages.length === 0) for (let id = 121; id <= 160; id++) portal.put(147, id);
        pages.push(page);
      },
    });
    expect(idsOf(pages, 147)).toHaveLength(160);
  });

  it('goes on from where an earlier one was', async () => {
    const portal = filled({ 147: 300 });
    const pages = await scanAll(portal, { types: [{ entityTypeId: 147, after: '250', lastId: '300' }] });
    expect(idsOf(pages, 147)).toEqual(Array.from({ length: 50 }, (_, index) => 251 + index));
  });

  it('asks for less when an answer is too large, down to the one item that cannot be read', async () => {
    const portal = filled({ 147: 220 });
    portal.faults = {
      request: (commands) => (commands > 2 && commands < 50 ? tooLong() : undefined),
      page: (items) =>
        items.some(({ id, title }) => id === 77 && title !== undefined) ? tooLong() : undefined,
    };
    const pages = await scanAll(portal);
    expect(idsOf(pages, 147)).toEqual(
      Array.from({ length: 220 }, (_, index) => index + 1).filter((id) => id !== 77),
    );
    expect(pages.flatMap(({ unreadable }) => unreadable)).toEqual(['77']);
  });

  it('passes by a type that is gone or not for this user, and scans the others', async () => {
    const portal = filled({ 147: 60, 150: 60 });
    const lost: number[] = [];
    const pages = await scanAll(portal, {
      types: [147, 149, 150].map((entityTypeId) => ({ entityTypeId, after: '0', lastId: '60' })),
      onTypeUnavailable: (entityTypeId) => void lost.push(entityTypeId),
    });
    expect(lost).toEqual([149]);
    expect([idsOf(pages, 147).length, idsOf(pages, 150).length]).toEqual([60, 60]);
  });

  it.each([50, 100])(
    'takes no page that does not advance: behind %s it would be the first again',
    async (end) => {
      const portal = filled({ 147: 500, 150: 500 });
      const firstPage = Array.from({ length: 50 }, (_, index) => ({ id: index + 1 }));
      portal.faults.instead = (type, behind) => (type === 147 && behind >= end ? firstPage : undefined);
      // If it were accepted, the scan would not end.
      portal.faults.request = () => (portal.requests > 20 ? new Error('it goes on for ever') : undefined);
      const lost: number[] = [];
      const pages = await scanAll(portal, {
        onTypeUnavailable: (entityTypeId) => void lost.push(entityTypeId),
      });
      expect(idsOf(pages, 147)).toEqual(Array.from({ length: end }, (_, index) => index + 1));
      expect(idsOf(pages, 150)).toHaveLength(500);
      expect(lost).toEqual([147]);
    },
  );

  it.each([
    ['an id that is none', [{ id: '2e0' }]],
    ['an item without an id', [{ title: 'x' }]],
    ['an id of too many digits', [{ id: '1'.repeat(19) }]],
    ['no list', 'no list'],
  ])('passes by a type that answers with %s, and scans the others', async (_, items) => {
    const portal = filled({ 147: 60, 150: 60 });
    portal.faults.instead = (type) => (type === 147 ? items : undefined);
    const lost: number[] = [];
    const pages = await scanAll(portal, {
      onTypeUnavailable: (entityTypeId) => void lost.push(entityTypeId),
    });
    expect([lost, idsOf(pages, 147), idsOf(pages, 150).length]).toEqual([[147], [], 60]);
  });

  it('ends with the error of a portal that takes no calls, and stores nothing after it', async () => {
    const portal = filled({ 147: 5_000 });
    portal.faults.request = () =>
      portal.requests > 1 ? new Bitrix24Error('OVERLOAD_LIMIT', { delivered: 'yes' }) : undefined;
    const stored: ScanPage[] = [];
    await expect(scanAll(portal, { onPage: async (page) => void stored.push(page) })).rejects.toMatchObject({
      code: 'OVERLOAD_LIMIT',
    });
    expect(idsOf(stored, 147)).toHaveLength(2_500);
  });

  it('ends with the error of what stores', async () => {
    const failure = new Error('the database is away');
    await expect(scanAll(filled({ 147: 9_000 }), { onPage: () => Promise.reject(failure) })).rejects.toBe(
      failure,
    );
  });
});
