import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { TestSimulator } from '../../test/support.js';

let b24: TestSimulator;
const lots = { rate: 1000, burst: 100_000 };

beforeAll(async () => {
  b24 = await TestSimulator.start();
  await b24.post('/_sim/portals', { name: 'acme', ...lots, types: [{ entityTypeId: 147, title: 'Orders' }] });
  await b24.control('items/147', { count: 120, fields: { title: 'Order {n}' } }, 'acme');
});
afterAll(() => b24.close());

const call = (method: string, params: object = {}) => b24.call(method, params, 'acme');

describe('a REST request', () => {
  it('is taken as JSON, as a form and as a query, with doubled slashes and unknown parameters', async () => {
    const params = 'entityTypeId=147&filter[@id][]=7&select[]=title';
    const path = '/portals/acme/rest/1/acme';
    const answers = [
      await call('crm.item.list', { entityTypeId: 147, filter: { '@id': [7] }, select: ['title'] }),
      await b24.post(`${path}//crm.item.list?bx24_request_id=1`, params, 'form'),
      await b24.send(`${path}/crm.item.list.json?${params}`),
      await b24.send(`/portals/acme/rest//1/acme/CRM.ITEM.LIST/?${params}`),
    ];
    for (const answer of answers) {
      expect(answer.at('result')).toEqual({ items: [{ title: 'Order 7' }] });
    }
  });

  it('is answered with the time it took', async () => {
    const { body } = await call('server.time');
    expect(body).toEqual({
      result: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/),
      time: {
        start: expect.any(Number),
        finish: expect.any(Number),
        duration: expect.any(Number),
        processing: expect.any(Number),
        date_start: expect.any(String),
        date_finish: expect.any(String),
        operating: expect.any(Number),
        operating_reset_at: expect.any(Number),
      },
    });
  });

  it.each([
    ['no.such.method', {}, 404, 'ERROR_METHOD_NOT_FOUND'],
    ['crm.item.get', { entityTypeId: 147, id: 999 }, 400, 'NOT_FOUND'],
    ['crm.item.get', { entityTypeId: 150, id: 1 }, 400, 'NOT_FOUND'],
    ['crm.item.get', { entityTypeId: 147 }, 400, '100'],
    ['crm.item.list', { entityTypeId: 147, filter: { nonsense: 1 } }, 400, 'INVALID_ARG_VALUE'],
    ['crm.item.list', { entityTypeId: 147, filter: { '>id': [1] } }, 400, 'INVALID_ARG_VALUE'],
    ['crm.item.list', { entityTypeId: 147, order: { id: 'UP' } }, 400, 'INVALID_ARG_VALUE'],
    ['feature.get', {}, 400, 'CODE_EMPTY'],
    ['app.info', {}, 400, 'ACCESS_DENIED'],
    ['event.bind', { event: 'ONCRMCONTACTADD', handler: 'https://x.test/' }, 403, 'WRONG_AUTH_TYPE'],
    ['event.get', {}, 403, 'WRONG_AUTH_TYPE'],
    ['events', {}, 403, 'WRONG_AUTH_TYPE'],
    ['event.test', {}, 403, 'WRONG_AUTH_TYPE'],
  ])('%s with %j by a webhook is answered %d %s', async (method, params, status, code) => {
    const answer = await call(method, params);
    expect(answer.body).toEqual({ error: code, error_description: expect.any(String) });
    expect(answer.status).toBe(status);
  });

  it('needs an authorization that is known at this portal', async () => {
    const { accessToken } = await b24.install('demo');
    expect((await b24.send('/portals/acme/rest/profile')).error).toEqual([401, 'NO_AUTH_FOUND']);
    const wrong = [401, 'INVALID_CREDENTIALS'];
    expect((await b24.send('/portals/acme/rest/1/wrong/profile')).error).toEqual(wrong);
    expect((await b24.send('/portals/acme/rest/2/acme/profile')).error).toEqual(wrong);
    expect((await b24.callAs('junk', 'profile', {}, 'acme')).error).toEqual([401, 'invalid_token']);
    expect((await b24.callAs(accessToken, 'profile', {}, 'acme')).error).toEqual([401, 'invalid_token']);
    expect((await b24.callAs(accessToken, 'profile', {}, 'demo')).at('result.ID')).toBe('1');
    expect((await b24.callAs(accessToken, 'app.info', {}, 'demo')).at('result.INSTALLED')).toBe(true);
  });

  it('takes a token as `access_token` or in its header as well', async () => {
    const { accessToken } = await b24.install('demo');
    const ways = [
      b24.post('/portals/demo/rest/profile', { access_token: accessToken }),
      b24.send(`/portals/demo/rest/profile?ACCESS_TOKEN=${accessToken}`),
      b24.send('/portals/demo/rest/profile', { headers: { authorization: `Bearer ${accessToken}` } }),
      b24.send('/rest/app.info', { headers: { authorization: `bearer ${accessToken}` } }),
    ];
    for (const answer of await Promise.all(ways)) expect(answer.status).toBe(200);
    const junk = { headers: { authorization: 'Bearer junk' } };
    expect((await b24.send('/portals/demo/rest/profile', junk)).error).toEqual([401, 'invalid_token']);
  });

  it('that is no JSON is rejected', async () => {
    expect((await b24.post('/portals/acme/rest/1/acme/profile', '{oops')).error).toEqual([
      401,
      'INVALID_REQUEST',
    ]);
  });
});

const list = async (params: object) =>
  (await call('crm.item.list', { entityTypeId: 147, select: ['id'], ...params })).body;
const ids = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => ({ id: first + index }));

const titles = async (order: object, filter: object) => {
  const { body } = await call('crm.item.list', { entityTypeId: 147, select: ['title'], order, filter });
  return body;
};

const fieldsShown = async (select: string[]) => {
  const items = (await b24.call('crm.item.list', { entityTypeId: 3, select })).at('result.items');
  return Object.keys(Object(z.array(z.unknown()).parse(items)[0]));
};

describe('crm.item.list', () => {
  it('shows 50 a page with total and next', async () => {
    expect(await list({})).toMatchObject({ result: { items: ids(1, 50) }, total: 120, next: 50 });
    expect(await list({ start: 50 })).toMatchObject({
      result: { items: ids(51, 100) },
      total: 120,
      next: 100,
    });
    expect(await list({ start: 99 })).toMatchObject({ result: { items: ids(51, 100) }, next: 100 });
    expect(await list({ start: 2 })).toMatchObject({ result: { items: ids(1, 50) }, next: 50 });
    const last = await list({ start: 100 });
    expect(last).toMatchObject({ result: { items: ids(101, 120) }, total: 120 });
    expect(last).not.toHaveProperty('next');
  });

  it('counts nothing with start = -1, so a keyset reads on by id', async () => {
    const page = await list({ start: -1, order: { id: 'ASC' }, filter: { '>id': 100 } });
    expect(page).toMatchObject({ result: { items: ids(101, 120) } });
    expect(page).not.toHaveProperty('total');
    expect(page).not.toHaveProperty('next');
  });

  it.each([
    [{ id: 5 }, [5]],
    [{ '=id': '5' }, [5]],
    [{ ID: 5 }, [5]],
    [{ '>ID': 118 }, [119, 120]],
    [{ '@ID': [1, 2], ASSIGNED_BY_ID: 1 }, [1, 2]],
    [{ '@id': [5, 3, 999, 3] }, [3, 5]],
    [{ '>id': 117, '<=id': 119 }, [118, 119]],
    [{ '>=id': 119 }, [119, 120]],
    [{ '<id': 3 }, [1, 2]],
    [{ '<id': 4, '!id': 2 }, [1, 3]],
    [{ '<id': 4, '!@id': [1, 2] }, [3]],
    [{ '%title': 'ORDER 11', '<id': 112 }, [11, 110, 111]],
    [{ '=%title': 'order 12%' }, [12, 120]],
    [{ title: 'order 9' }, [9]],
    [{ '<id': 3, '!title': '' }, [1, 2]],
    [{ '<id': 3, title: '' }, []],
    [{ '<id': 3, xmlId: '' }, [1, 2]],
    [{ '<id': 3, '!xmlId': '' }, []],
    [{ '0': { logic: 'OR', '0': { id: 4 }, '1': { '>id': 119 } } }, [4, 120]],
    [{ '<=id': 2, '>createdTime': '2001-01-01T00:00:00+02:00' }, [1, 2]],
    [{ '<=id': 2, opened: 'Y' }, [1, 2]],
    [{ '@id': [1, 2], '@assignedById': [1, 6] }, [1, 2]],
  ])('filters by %j', async (filter, wanted) => {
    expect(await list({ filter })).toMatchObject({
      result: { items: wanted.map((id) => ({ id })) },
      total: wanted.length,
    });
  });

  it('gives phones and the like with everything, and not by their name', async () => {
    expect(await fieldsShown(['*'])).toContain('fm');
    expect(await fieldsShown(['id', 'fm', 'name'])).toEqual(['id', 'name']);
    expect(await fieldsShown(['fm', '*'])).toContain('fm');
  });

  it('orders by id and by other fields, either way', async () => {
    expect(await titles({ id: 'desc' }, { '>id': 118 })).toMatchObject({
      result: { items: [{ title: 'Order 120' }, { title: 'Order 119' }] },
    });
    expect(await titles({ title: 'ASC' }, { '@id': [9, 10] })).toMatchObject({
      result: { items: [{ title: 'Order 10' }, { title: 'Order 9' }] },
    });
  });
});

const readTimed = async (params: object) => {
  const { body } = await b24.call('crm.item.list', { entityTypeId: 147, select: ['id'], ...params }, 'timed');
  return body;
};

describe('crm.item.list by updatedTime', () => {
  const times = ['01', '02', '02', '03'].map((day) => `2030-01-${day}T12:00:00+00:00`);
  beforeAll(async () => {
    await b24.post('/_sim/portals', {
      name: 'timed',
      ...lots,
      types: [{ entityTypeId: 147, title: 'Orders' }],
    });
    for (const time of times) {
      b24.skip((Date.parse(time) - b24.nowMs()) / 1000);
      await b24.control('items/147', { fields: {} }, 'timed');
    }
  });

  it.each([
    [{ '>updatedTime': times[0] }, [2, 3, 4]],
    [{ '>=updatedTime': '2030-01-02T14:00:00+02:00' }, [2, 3, 4]],
    [{ '<updatedTime': times[1] }, [1]],
    [{ '<=updatedTime': times[1] }, [1, 2, 3]],
    [{ '>updatedTime': times[0], '<updatedTime': times[3], '>id': 2 }, [3]],
    [{ '=updatedTime': times[1] }, [2, 3]],
    [{ '!updatedTime': times[1] }, [1, 4]],
    [{ '0': { logic: 'OR', '0': { '>updatedTime': times[1] }, '1': { id: 1 } } }, [1, 4]],
  ])('filters by %j', async (filter, wanted) => {
    const page = { result: { items: wanted.map((id) => ({ id })) } };
    expect(await readTimed({ filter })).toMatchObject({ ...page, total: wanted.length });
    expect(await readTimed({ filter, start: -1, order: { updatedTime: 'ASC', id: 'ASC' } })).toMatchObject(
      page,
    );
  });

  it('orders by it, then by id, either way', async () => {
    const order = { updatedTime: 'DESC', id: 'DESC' };
    expect(await readTimed({ order })).toMatchObject({
      result: { items: [{ id: 4 }, { id: 3 }, { id: 2 }, { id: 1 }] },
    });
    await b24.control('items/147', { id: 1, fields: {} }, 'timed');
    expect(await readTimed({ order: { updatedTime: 'ASC' } })).toMatchObject({
      result: { items: [{ id: 2 }, { id: 3 }, { id: 1 }, { id: 4 }] },
    });
  });

  it.each([
    [{ '>updatedTime': 'yesterday' }],
    [{ '>updatedTime': ['2030-01-01'] }],
    [{ '>=createdTime': 'x' }],
  ])('rejects %j, even when there is nothing to filter', async (filter) => {
    const params = { entityTypeId: 31, filter };
    expect((await b24.call('crm.item.list', params, 'timed')).error).toEqual([400, 'INVALID_ARG_VALUE']);
  });
});

describe('crm.item.*', () => {
  it('adds, reads, changes and deletes a contact', async () => {
    const added = await call('crm.item.add', {
      entityTypeId: 3,
      fields: { name: 'anna', lastName: 'KOVAL', id: 900 },
    });
    const id = added.at('result.item.id');
    expect(added.at('result.item')).toMatchObject({ id: 1, name: 'anna', secondName: null, entityTypeId: 3 });
    const changed = await call('crm.item.update', {
      entityTypeId: 3,
      id,
      fields: { name: 'Anna', ufCrm_1: 'x', junk: 1 },
    });
    expect(changed.at('result.item')).toMatchObject({ name: 'Anna', lastName: 'KOVAL', ufCrm_1: 'x' });
    expect(changed.at('result.item')).not.toHaveProperty('junk');
    expect((await call('crm.item.delete', { entityTypeId: 3, id })).at('result')).toEqual([]);
    expect((await call('crm.item.update', { entityTypeId: 3, id, fields: {} })).error).toEqual([
      400,
      'NOT_FOUND',
    ]);
    expect((await call('crm.item.delete', { entityTypeId: 3, id })).error).toEqual([400, 'NOT_FOUND']);
  });

  it('remembers when and by whom an item was moved to another stage, and from which', async () => {
    const add = await call('crm.item.add', { entityTypeId: 147, fields: { stageId: 'DT147_47:NEW' } });
    const id = add.at('result.item.id');
    const created = add.at('result.item.createdTime');
    b24.skip(60);
    const renamed = await call('crm.item.update', { entityTypeId: 147, id, fields: { title: 'x' } });
    expect(renamed.at('result.item')).toMatchObject({ movedTime: created, previousStageId: null });
    const moved = await call('crm.item.update', {
      entityTypeId: 147,
      id,
      fields: { stageId: 'DT147_47:CLIENT' },
    });
    expect(moved.at('result.item')).toMatchObject({
      movedTime: moved.at('result.item.updatedTime'),
      movedBy: 1,
      previousStageId: 'DT147_47:NEW',
    });
    expect(moved.at('result.item.movedTime')).not.toBe(created);
  });

  it('has smart process items with a stage, and new invoices', async () => {
    const order = await call('crm.item.get', { entityTypeId: 147, id: 1 });
    expect(order.at('result.item')).toMatchObject({ stageId: 'DT147_47:NEW', categoryId: 47, observers: [] });
    const invoice = await call('crm.item.add', { entityTypeId: 31, fields: { opportunity: '12.5' } });
    expect(invoice.at('result.item')).toMatchObject({ id: 1, title: 'Invoice #1', opportunity: 12.5 });
  });
});

it('methods, method.get and scope tell what the application may call', async () => {
  await b24.post('/_sim/portals', { name: 'scoped', scope: ['user_brief'] });
  const { accessToken } = await b24.install('scoped');
  const asked = async (method: string, params: object = {}) =>
    (await b24.callAs(accessToken, method, params, 'scoped')).at('result');
  expect(await asked('method.get', { name: 'crm.item.list' })).toEqual({
    isExisting: true,
    isAvailable: false,
  });
  expect(await asked('method.get', { name: 'user.current' })).toEqual({
    isExisting: true,
    isAvailable: true,
  });
  expect(await asked('method.get', { name: 'no.such' })).toEqual({ isExisting: false, isAvailable: false });
  expect(await asked('methods')).toEqual(expect.arrayContaining(['profile', 'methods', 'user.current']));
  expect(await asked('methods')).not.toContain('crm.item.list');
  expect(await asked('methods', { full: true })).toContain('crm.item.list');
  expect(await asked('methods', { scope: 'user' })).toEqual(['user.get', 'user.current']);
  expect(await asked('methods', { scope: '' })).not.toContain('user.current');
  expect(await asked('scope')).toEqual(['user_brief']);
  expect(await asked('scope', { full: true })).toEqual(expect.arrayContaining(['crm', 'user', 'user_brief']));
  expect(await asked('user.current')).toMatchObject({ ID: '1', ACTIVE: true });
});

it('feature.get answers Y, N, or of a portal on premise its language', async () => {
  const features = { rest_offline_extended: 'Y', rest_auth_connector: 'de_selfhosted' };
  await b24.post('/_sim/portals', { name: 'featured', features });
  const value = async (code: string) =>
    (await b24.call('feature.get', { CODE: code }, 'featured')).at('result.value');
  expect(await value('rest_offline_extended')).toBe('Y');
  expect(await value('rest_auth_connector')).toBe('de_selfhosted');
  expect(await value('anything_else')).toBe('N');
  const wrong = await b24.post('/_sim/portals', { name: 'wrong', features: { rest_auth_connector: 'yes' } });
  expect(wrong.status).toBe(400);
});

describe('crm.contact.*', () => {
  it('shows the same contacts with upper-case names and every scalar as a string', async () => {
    const { body } = await call('crm.contact.add', {
      fields: { NAME: 'olena', LAST_NAME: 'BOYKO', UF_CRM_5: 'u' },
    });
    const id = (await call('crm.contact.list', { filter: { '%NAME': 'OLE' }, select: ['ID', 'NAME'] })).at(
      'result.0.ID',
    );
    expect(body).toMatchObject({ result: Number(id) });
    await call('crm.contact.update', { id, fields: { NAME: 'Olena' } });
    expect((await call('crm.contact.get', { ID: id })).at('result')).toMatchObject({
      ID: id,
      NAME: 'Olena',
      LAST_NAME: 'BOYKO',
      UF_CRM_5: 'u',
      ASSIGNED_BY_ID: '1',
      DATE_CREATE: expect.any(String),
    });
    expect((await call('crm.item.get', { entityTypeId: 3, id })).at('result.item.name')).toBe('Olena');
    expect((await call('crm.contact.delete', { id })).at('result')).toBe(true);
    expect((await call('crm.contact.get', { id })).error).toEqual([400, '']);
  });
});

describe('crm.type.*', () => {
  it('lists, makes, changes and deletes smart processes', async () => {
    const added = await call('crm.type.add', {
      fields: { title: 'Visits', entityTypeId: 1032, isStagesEnabled: 'Y' },
    });
    const id = added.at('result.type.id');
    expect(added.at('result.type')).toMatchObject({
      entityTypeId: 1032,
      title: 'Visits',
      isStagesEnabled: 'Y',
      code: '',
    });
    const listed = await call('crm.type.list', { order: { id: 'DESC' }, filter: { '%title': 'v' } });
    expect(listed.at('result.types')).toEqual([expect.objectContaining({ id })]);
    expect(listed.at('total')).toBe(1);
    await call('crm.type.update', { id, fields: { title: 'Meetings' } });
    expect((await call('crm.type.get', { id })).at('result.type.title')).toBe('Meetings');
    expect((await call('crm.type.getByEntityTypeId', { entityTypeId: 1032 })).at('result.type.id')).toBe(id);
    expect((await call('crm.type.delete', { id })).at('result')).toEqual([]);
    expect((await call('crm.type.get', { id })).error).toEqual([400, '0']);
    expect((await call('crm.item.list', { entityTypeId: 1032 })).error).toEqual([400, 'NOT_FOUND']);
  });

  it('makes none with an id that is taken or out of range, and deletes none that has items', async () => {
    const add = (entityTypeId: number) => call('crm.type.add', { fields: { title: 'x', entityTypeId } });
    expect((await add(147)).error).toEqual([400, 'INVALID_ARG_VALUE']);
    expect((await add(127)).error).toEqual([400, 'INVALID_ARG_VALUE']);
    expect((await add(1031)).error).toEqual([400, 'INVALID_ARG_VALUE']);
    expect((await call('crm.type.delete', { id: 1 })).error).toEqual([400, 'BX_ERROR']);
  });
});
