import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../../../test/support/eventually.js';
import { controlLines } from '../../../../test/support/simulator-control.js';
import { TestHandler, TestSimulator } from '../../test/support.js';

let b24: TestSimulator;
const rows = z.array(z.looseObject({ id: z.number(), title: z.string(), updatedTime: z.string() }));

beforeEach(async () => {
  b24 = await TestSimulator.start();
  for (const name of ['acme', 'umbrella']) {
    const types = [{ entityTypeId: 147, title: 'Orders', fields: 'every' }];
    await b24.post('/_sim/portals', { name, burst: 1000, types });
  }
});
afterEach(() => b24.close());

const make = (count: number, seed: number, portal = 'acme') =>
  b24.control('items/147/make', { count, seed }, portal);
const all = async (portal = 'acme') => {
  const lines: unknown[] = [];
  const url = `${b24.simulator.url}/_sim/portals/${portal}/items/147/all`;
  for await (const line of controlLines(url)) lines.push(line);
  return rows.parse(lines);
};
const change = (order: object, portal = 'acme') =>
  b24.control('random-changes', { entityTypeId: 147, ...order }, portal);

const page = (after: string) =>
  `crm.item.list?entityTypeId=147&select[]=id&order[id]=ASC&start=-1&filter[>id]=${encodeURIComponent(after)}`;
const content = async (portal: string) => (await all(portal)).map(({ id, title }) => [id, title]);
const list = async (params: object = {}) =>
  (await b24.call('crm.item.list', { entityTypeId: 147, select: ['id'], ...params }, 'acme')).body;

describe('generated items', () => {
  it('are the same for the same seed, and have values for every field', async () => {
    await make(300, 5);
    await make(300, 5, 'umbrella');
    const items = await all();
    expect(items).toEqual(await all('umbrella'));
    const userFields = Object.keys(items[0] ?? {}).filter((name) => name.startsWith('ufCrm'));
    expect(userFields).toHaveLength(31);
    for (const name of userFields) {
      const values = new Set(items.map((item) => JSON.stringify(item[name])));
      expect(values.size).toBeGreaterThan(1);
    }
    await make(300, 6);
    expect((await all()).at(-1)?.title).not.toBe(items.at(-1)?.title);
  });

  it('are shown by REST as they are to the test, a file’s addresses aside', async () => {
    await make(50, 1);
    const listed = rows.parse(
      (await b24.call('crm.item.list', { entityTypeId: 147 }, 'acme')).at('result.items'),
    );
    const file = z.looseObject({ id: z.number() }).transform(({ id }) => ({ id }));
    const plain = z.union([file, z.array(file), z.unknown()]);
    const withoutAddresses = listed.map((item) =>
      Object.fromEntries(Object.entries(item).map(([name, value]) => [name, plain.parse(value)])),
    );
    expect(withoutAddresses).toEqual(await all());
  });

  it('have no value in a field that was added later, and keep what was changed since', async () => {
    await make(20, 1);
    const [field] = z
      .array(z.object({ fieldName: z.string() }))
      .parse((await b24.control('types/147/fields', [{ type: 'string' }], 'acme')).body);
    const name = z.string().parse(field?.fieldName).replace('UF_CRM_1_', 'ufCrm1_');
    await b24.control('items/147', { id: 3, fields: { title: 'Mine' } }, 'acme');
    const items = await all();
    expect(items.map((item) => item[name])).toEqual(items.map(() => null));
    expect(items.map(({ title }) => title === 'Mine')).toEqual(items.map(({ id }) => id === 3));
  });

  it('emit events only with tell', async () => {
    const handler = await TestHandler.start();
    const { accessToken } = await b24.install('acme');
    const event = { event: 'ONCRMDYNAMICITEMADD', handler: handler.url };
    await b24.callAs(accessToken, 'event.bind', event, 'acme');
    await make(10, 1);
    await b24.control('items/147/make', { count: 3, tell: true }, 'acme');
    await eventually(() => expect(handler.forms).toHaveLength(3));
    expect(handler.forms.map((form) => form.get('data[FIELDS][ID]') ?? '').toSorted()).toEqual([
      '11',
      '12',
      '13',
    ]);
    await handler.close();
  });

  it('are read to the last of 100,000 by keyset, in batches', async () => {
    await make(100_000, 1);
    let last = 0;
    for (let batches = 0; batches < 40; batches += 1) {
      const cmd = Array.from({ length: 50 }, (_, index) =>
        page(index === 0 ? String(last) : `$result[${index - 1}][items][49][id]`),
      );
      const answer = await b24.call('batch', { cmd }, 'acme');
      expect(answer.at('result.result_error')).toEqual([]);
      last = z.number().parse(answer.at('result.result.49.items.49.id'));
    }
    expect(last).toBe(100_000);
  });
});

describe('random changes', () => {
  it('are the same for the same seed', async () => {
    const order = { count: 200, seed: 9, adds: 0.2, deletes: 0.2 };
    for (const portal of ['acme', 'umbrella']) await make(100, 1, portal);
    expect((await change(order)).body).toEqual((await change(order, 'umbrella')).body);
    const after = await content('acme');
    expect(after).toEqual(await content('umbrella'));
    await change({ ...order, seed: 10 });
    expect(await content('acme')).not.toEqual(after);
  });

  it('emit events, but for those that are dropped', async () => {
    const handler = await TestHandler.start();
    const { accessToken } = await b24.install('acme');
    for (const kind of ['ADD', 'UPDATE', 'DELETE']) {
      const event = { event: `ONCRMDYNAMICITEM${kind}`, handler: handler.url };
      await b24.callAs(accessToken, 'event.bind', event, 'acme');
    }
    await make(100, 1);
    const counts = z
      .record(z.string(), z.number())
      .parse((await change({ count: 100, adds: 0.2, deletes: 0.2, dropEvents: 0.3 })).body);
    const { added = 0, updated = 0, deleted = 0, dropped = 0 } = counts;
    expect(added + updated + deleted).toBe(100);
    for (const count of [added, updated, deleted, dropped]) expect(count).toBeGreaterThan(0);
    await eventually(() => expect(handler.forms).toHaveLength(100 - dropped));
    expect(await all()).toHaveLength(100 + added - deleted);
    await handler.close();
  });
});

describe('a portal restored from a backup', () => {
  it('has its types, fields and items of then, and gives ids again', async () => {
    await make(10, 1);
    const before = await all();
    await b24.control('backup', { as: 'monday' }, 'acme');
    b24.skip(3600);
    await change({ count: 30, deletes: 0.3 });
    await b24.control('items/147', { fields: { title: 'eleventh' } }, 'acme');
    await b24.control('types', { entityTypeId: 150, title: 'Visits' }, 'acme');
    await b24.control('types/147/fields', [{ type: 'string' }], 'acme');
    for (let time = 0; time < 2; time += 1) {
      await b24.control('restore', { to: 'monday' }, 'acme');
      expect(await all()).toEqual(before);
      const again = await b24.control('items/147', { fields: { title: 'another eleventh' } }, 'acme');
      expect([again.at('id'), again.at('title')]).toEqual([11, 'another eleventh']);
    }
    expect((await b24.call('crm.item.list', { entityTypeId: 150 }, 'acme')).error).toEqual([
      400,
      'NOT_FOUND',
    ]);
    expect((await b24.control('restore', { to: 'sunday' }, 'acme')).status).toBe(404);
  });

  it('brings back a type that was deleted with its items', async () => {
    await make(10, 1);
    const before = await all();
    await b24.control('backup', { as: 'monday' }, 'acme');
    const gone = await b24.send('/_sim/portals/acme/types/147', { method: 'DELETE' });
    expect(gone.at('items')).toBe(10);
    expect((await b24.call('crm.type.list', {}, 'acme')).at('total')).toBe(0);
    await b24.control('restore', { to: 'monday' }, 'acme');
    expect(await all()).toEqual(before);
  });
});

describe('what a user may not see', () => {
  it('is not listed, not counted, not read and not changed', async () => {
    await make(5, 1);
    await b24.control('rights', { entityTypeId: 147, hidden: [2, 3] }, 'acme');
    const seen = { result: { items: [{ id: 1 }, { id: 4 }, { id: 5 }] }, total: 3 };
    expect(await list()).toMatchObject(seen);
    expect(await list({ filter: { '@id': [1, 2, 3] } })).toMatchObject({ total: 1 });
    expect(await list({ start: -1, filter: { '>id': 1 } })).toMatchObject({
      result: { items: [{ id: 4 }, { id: 5 }] },
    });
    for (const method of ['get', 'update', 'delete']) {
      const answer = await b24.call(`crm.item.${method}`, { entityTypeId: 147, id: 2, fields: {} }, 'acme');
      expect(answer.error).toEqual([400, 'ACCESS_DENIED']);
    }
    expect(await all()).toHaveLength(5);
    await b24.control('rights', { entityTypeId: 147, hidden: [] }, 'acme');
    expect(await list()).toMatchObject({ total: 5 });
  });

  it('can be all of a type, or the list of types', async () => {
    await make(5, 1);
    await b24.control('rights', { entityTypeId: 147, hidden: 'all', administrator: false }, 'acme');
    expect(await list()).toMatchObject({ result: { items: [] }, total: 0 });
    expect((await b24.call('crm.type.list', {}, 'acme')).error).toEqual([400, 'ACCESS_DENIED']);
  });
});

it('raw values are stored unchanged, even unknown ones and ten megabytes', async () => {
  await make(1, 1);
  const text = 'x'.repeat(10_000_000);
  const fields = {
    ufCrm1_1720000000003: 'not a number',
    nobodyKnows: { a: [1] },
    ufCrm1_1720000000001: text,
  };
  await b24.control('items/147', { id: 1, fields, raw: true }, 'acme');
  const item = await b24.call('crm.item.get', { entityTypeId: 147, id: 1 }, 'acme');
  expect(item.at('result.item')).toMatchObject(fields);
});
