import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { clientOf, type ReceivedRequest, Peer, type Reply } from '../../test/peer.js';
import { dig, type PhpMap } from '../../test/php-query.js';
import { sentCommands, sentPage } from '../../test/sent.js';
import type { Item } from './listing.js';
import type { PortalClient } from '../portal-client.js';

let peer: Peer;
let client: PortalClient;

beforeEach(async () => {
  peer = await Peer.start();
  client = clientOf(peer);
});
afterEach(() => peer.stop());

/** A portal with these ids that answers list methods as documented: 50 above the bound, in order. */
function listOf(ids: number[], idField: 'id' | 'ID'): (received: ReceivedRequest) => Reply {
  return (received) => {
    const after = sentPage(received).filter[`>${idField}`] ?? 0;
    const page = ids.filter((id) => id > after).slice(0, 50);
    const items = page.map((id) => ({ [idField]: idField === 'id' ? id : String(id), title: `t${id}` }));
    return { body: { result: idField === 'id' ? { items } : items, total: 0 } };
  };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => (index + 1) * 3);

async function collect(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('a list', () => {
  it.each([0, 1, 49, 50, 51, 100, 120])(
    'of %i items is read whole, each item once, in order',
    async (count) => {
      peer.answer = listOf(upTo(count), 'id');
      const items = await collect(client.list('crm.item.list', { entityTypeId: 147 }));

      expect(items.map(({ id }) => id)).toEqual(upTo(count));
      expect(peer.received).toHaveLength(Math.floor(count / 50) + 1);
    },
  );

  it('is paginated by id (keyset), uncounted, within the filter of the caller', async () => {
    peer.answer = listOf(upTo(60), 'id');
    await collect(client.list('crm.item.list', { filter: { '>id': 9, categoryId: 2 }, select: ['title'] }));

    expect(peer.received.map(sentPage)).toMatchObject([
      { filter: { '>id': 9, categoryId: 2 }, order: { id: 'ASC' }, start: -1, select: ['id', 'title'] },
      { filter: { '>id': 159, categoryId: 2 }, order: { id: 'ASC' }, start: -1 },
    ]);
  });

  it('of an older method is paginated by ID, and its items have an id, too', async () => {
    peer.answer = listOf(upTo(51), 'ID');
    const items = await collect(client.list('crm.contact.list', {}, { idField: 'ID' }));

    expect(items).toHaveLength(51);
    expect(items[0]).toEqual({ ID: '3', id: '3', title: 't3' });
    expect(sentPage(peer.received[1]!)).toMatchObject({
      filter: { '>ID': 150 },
      order: { ID: 'ASC' },
    });
  });

  it('requests no page that is not consumed', async () => {
    peer.answer = listOf(upTo(200), 'id');
    for await (const item of client.list('crm.item.list')) if (item.id === 60) break;
    expect(peer.received).toHaveLength(1);
  });

  it('that does not advance is an error, not a loop', async () => {
    peer.answer = () => ({ body: { result: { items: upTo(50).map((id) => ({ id })) } } });
    await expect(collect(client.list('crm.item.list'))).rejects.toMatchObject({ code: 'BAD_ANSWER' });
    expect(peer.received).toHaveLength(2);
  });

  it.each([null, 'x', { items: 'x' }, [{ title: 'no id' }], [{ id: 'x' }], [7]])(
    'with the result %j is a bad answer',
    async (result) => {
      peer.answer = () => ({ body: { result } });
      await expect(collect(client.list('crm.item.list'))).rejects.toMatchObject({
        code: 'BAD_ANSWER',
        message: 'BAD_ANSWER (wrong-shape) from crm.item.list',
      });
    },
  );

  it('stops when its signal aborts', async () => {
    peer.answer = listOf(upTo(200), 'id');
    const controller = new AbortController();
    const walk = client.list('crm.item.list', {}, { signal: controller.signal });
    await walk.next();
    controller.abort(new Error('enough'));

    await expect(collect(walk)).rejects.toThrow('enough');
    expect(peer.received).toHaveLength(1);
  });
});

function idsOf({ params }: { params: PhpMap }): string[] {
  const ids = dig(params, 'filter', '@id');
  return ids instanceof Map ? [...ids.values()].map(String) : [];
}

/** A portal with these ids that answers a batch of `crm.item.list` by `@id`. */
function portalWith(has: (id: string) => boolean): (received: ReceivedRequest) => Reply {
  return (received) => {
    const result = Object.fromEntries(
      [...sentCommands(received)].map(([key, command]) => [
        key,
        {
          items: idsOf(command)
            .filter((id) => has(id))
            .map((id) => ({ id: Number(id), title: `t${id}` })),
        },
      ]),
    );
    return { body: { result: { result, result_error: [] } } };
  };
}

describe('a read by ids', () => {
  it('requests fifty ids per command, fifty commands per batch, each id once', async () => {
    peer.answer = portalWith(() => true);
    const ids = Array.from({ length: 2600 }, (_, index) => index + 1);
    const items = await client.listByIds(3, [...ids, ...ids.map(String)]);

    expect(items.size).toBe(2600);
    expect(items.get('2600')).toEqual({ id: 2600, title: 't2600' });
    const batches = peer.received.map(sentCommands);
    expect(batches.map((batch) => batch.size)).toEqual([50, 2]);
    expect(batches.flatMap((batch) => [...batch.values()].flatMap(idsOf))).toEqual(ids.map(String));
  });

  it('requests the type and the fields, uncounted and in order', async () => {
    peer.answer = portalWith(() => true);
    await client.listByIds(3, [82], { select: ['name', 'lastName'] });
    await client.listByIds(3, [82]);

    const [narrow, wide] = peer.received.map((received) => sentCommands(received).get('c0')?.params);
    expect(dig(narrow, 'entityTypeId')).toBe('3');
    expect(dig(narrow, 'start')).toBe('-1');
    expect(dig(narrow, 'order', 'id')).toBe('ASC');
    expect(dig(narrow, 'select')).toEqual(
      new Map([
        ['0', 'id'],
        ['1', 'name'],
        ['2', 'lastName'],
      ]),
    );
    expect(dig(wide, 'select')).toBeUndefined();
  });

  it('omits items that the portal does not have', async () => {
    peer.answer = portalWith((id) => id !== '2');
    expect([...(await client.listByIds(3, [1, 2, 3])).keys()]).toEqual(['1', '3']);
  });

  it('sends no request without valid ids', async () => {
    expect((await client.listByIds(3, [])).size).toBe(0);
    expect((await client.listByIds(3, ['', 'abc', '0', -1, 1.5, Number.NaN, '1 OR 1'])).size).toBe(0);
    expect(peer.received).toHaveLength(0);
  });

  it('fails as a whole when one of its commands failed', async () => {
    peer.answer = () => ({
      body: {
        result: {
          result: { c0: { items: [] } },
          result_error: { c1: { error: 'OPERATION_TIME_LIMIT' } },
        },
      },
    });
    await expect(client.listByIds(3, upTo(60))).rejects.toMatchObject({ code: 'OPERATION_TIME_LIMIT' });
  });

  it('does not treat items as absent if the portal answered with others', async () => {
    peer.answer = () => ({ body: { result: { result: { c0: { items: [{ id: 7 }] } } } } });
    await expect(client.listByIds(3, [8])).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });

  it.each([null, [{ title: 'x' }], {}])(
    'does not take items for absent when its command gave %j',
    async (result) => {
      peer.answer = () => ({ body: { result: { result: { c0: result } } } });
      await expect(client.listByIds(3, [8])).rejects.toMatchObject({
        code: 'BAD_ANSWER',
        message: 'BAD_ANSWER (wrong-shape) from crm.item.list',
      });
    },
  );
});
