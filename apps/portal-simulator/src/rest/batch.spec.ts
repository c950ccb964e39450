import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestSimulator } from '../../test/support.js';

let b24: TestSimulator;

beforeAll(async () => {
  b24 = await TestSimulator.start();
  await b24.post('/_sim/portals', { name: 'acme', types: [{ entityTypeId: 147, title: 'Orders' }] });
  await b24.control('items/147', { count: 120, fields: { title: 'Order {n}' } }, 'acme');
});
afterAll(() => b24.close());

const batch = (cmd: object, more: object = {}) => b24.call('batch', { cmd, ...more }, 'acme');
const page = (after: string) =>
  `crm.item.list?entityTypeId=147&select[]=id&order[id]=ASC&start=-1&filter[>id]=${encodeURIComponent(after)}`;

describe('batch', () => {
  it('answers by key, with errors apart and the HTTP status 200', async () => {
    const answer = await batch({
      orders: 'crm.item.list?entityTypeId=147&filter[@id][0]=3&filter[@id][1]=4&select[]=title',
      gone: 'crm.item.get?entityTypeId=147&id=999',
      odd: 'no.such',
    });
    expect(answer.status).toBe(200);
    expect(answer.at('result')).toMatchObject({
      result: { orders: { items: [{ title: 'Order 3' }, { title: 'Order 4' }] } },
      result_error: {
        gone: { error: 'NOT_FOUND', error_description: 'Item not found' },
        odd: { error: 'ERROR_METHOD_NOT_FOUND' },
      },
      result_total: { orders: 2 },
      result_next: [],
      result_time: { orders: { operating: expect.any(Number) } },
    });
    expect(answer.at('result.result')).not.toHaveProperty('gone');
  });

  it('shows empty sections as [] and counted keys as a list', async () => {
    const answer = await batch(['profile', 'scope']);
    expect(answer.at('result.result')).toEqual([expect.objectContaining({ ID: '1' }), expect.any(Array)]);
    expect(answer.at('result')).toMatchObject({ result_error: [], result_total: [], result_next: [] });
    expect((await batch({})).at('result')).toEqual({
      result: [],
      result_error: [],
      result_total: [],
      result_next: [],
      result_time: [],
    });
  });

  it('chains pages by $result', async () => {
    const answer = await batch({
      p0: page('0'),
      p1: page('$result[p0][items][49][id]'),
      p2: page('$result[p1][items][49][id]'),
    });
    expect(answer.at('result.result.p1.items.0.id')).toBe(51);
    expect(answer.at('result.result.p2.items.19.id')).toBe(120);
  });

  it('has no value for a path that leads nowhere, so a chain ends with an error after a short page', async () => {
    const answer = await batch({ p0: page('100'), p1: page('$result[p0][items][49][id]') });
    expect(answer.at('result.result_error.p1.error')).toBe('INVALID_ARG_VALUE');
  });

  it('or begins again with the first page, where such a path is an empty text', async () => {
    await b24.send('/_sim/portals/acme', { method: 'PATCH', body: '{"missingReference": "empty"}' });
    const answer = await batch({ p0: page('100'), p1: page('$result[p0][items][49][id]') });
    expect(answer.at('result.result_error')).toEqual([]);
    expect(answer.at('result.result.p0.items.0.id')).toBe(101);
    expect(answer.at('result.result.p1.items.0.id')).toBe(1);
    await b24.send('/_sim/portals/acme', { method: 'PATCH', body: '{"missingReference": "stop"}' });
  });

  it('puts a reference into a text and $total into a value', async () => {
    const answer = await batch({
      list: 'crm.item.list?entityTypeId=147&select[]=id',
      add: 'crm.item.add?entityTypeId=147&fields[title]=after $result[list][items][1][id]&fields[opportunity]=$total[list]',
    });
    expect(answer.at('result.result.add.item')).toMatchObject({ title: 'after 2', opportunity: 120 });
    await b24.call(
      'crm.item.delete',
      { entityTypeId: 147, id: answer.at('result.result.add.item.id') },
      'acme',
    );
  });

  it('stops at the first error when halt is set', async () => {
    const cmd = { one: 'nope', two: 'profile' };
    expect((await batch(cmd, { halt: 1 })).at('result.result')).toEqual([]);
    expect((await batch(cmd, { halt: 0 })).at('result.result')).toHaveProperty('two');
    const form = 'halt=0&cmd[one]=nope&cmd[two]=profile';
    const answer = await b24.post('/portals/acme/rest/1/acme/batch', form, 'form');
    expect(answer.at('result.result')).toHaveProperty('two');
  });

  it('takes 50 commands; each one more is an error of its own', async () => {
    const cmd = Object.fromEntries(Array.from({ length: 52 }, (_, index) => [`c${index}`, 'server.time']));
    const answer = await batch(cmd);
    expect(Object.keys(Object(answer.at('result.result')))).toHaveLength(50);
    expect(answer.at('result.result_error')).toMatchObject({
      c50: { error: 'ERROR_BATCH_LENGTH_EXCEEDED' },
      c51: { error: 'ERROR_BATCH_LENGTH_EXCEEDED' },
    });
  });

  it('is rejected as a whole when its commands are longer than the portal takes', async () => {
    const cmd = { one: 'profile', two: 'profile?x=1234' };
    await b24.send('/_sim/portals/acme', { method: 'PATCH', body: '{"batchLength": 20}' });
    expect((await batch(cmd)).error).toEqual([400, 'ERROR_BATCH_LENGTH_EXCEEDED']);
    await b24.send('/_sim/portals/acme', { method: 'PATCH', body: '{"batchLength": 21}' });
    expect((await batch(cmd)).at('result.result.two.ID')).toBe('1');
    await b24.send('/_sim/portals/acme', { method: 'PATCH', body: '{"batchLength": null}' });
  });

  it('is not nested', async () => {
    const answer = await batch({ inner: 'batch?cmd[a]=profile' });
    expect(answer.at('result.result_error.inner.error')).toBe('ERROR_BATCH_METHOD_NOT_ALLOWED');
  });

  it('reads 2,500 items with one request, every command counted as a call', async () => {
    await b24.post('/_sim/portals', { name: 'big', types: [{ entityTypeId: 147, title: 'Orders' }] });
    await b24.control('items/147', { count: 2500, fields: {} }, 'big');
    const keys = Array.from({ length: 50 }, (_, index) => `p${index}`);
    const cmd = keys.map((key, index): [string, string] => [
      key,
      page(index === 0 ? '0' : `$result[p${index - 1}][items][49][id]`),
    ]);
    const answer = await b24.call('batch', { cmd: Object.fromEntries(cmd) }, 'big');
    expect(answer.at('result.result.p49.items.49.id')).toBe(2500);
    expect(await b24.stats('big')).toMatchObject({ requests: 1, calls: { batch: 1, 'crm.item.list': 50 } });
  });
});
