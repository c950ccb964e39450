import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../../../test/support/eventually.js';
import { TestHandler, TestSimulator } from '../../test/support.js';

let b24: TestSimulator;
let portal = '';
let portals = 0;

beforeAll(async () => {
  b24 = await TestSimulator.start();
});
afterAll(() => b24.close());
beforeEach(async () => {
  portals += 1;
  portal = `crm-${portals}`;
  const scope = ['crm', 'user_brief', 'im', 'task'];
  await b24.post('/_sim/portals', { name: portal, rate: 1000, burst: 10_000, scope });
});

const call = (method: string, params: object = {}) => b24.call(method, params, portal);
const add = async (entityTypeId: number, fields: object) =>
  (await call('crm.item.add', { entityTypeId, fields })).at('result.item');
const update = async (entityTypeId: number, id: unknown, fields: object) =>
  (await call('crm.item.update', { entityTypeId, id, fields })).at('result.item');
const recorded = async (what: string) => (await b24.send(`/_sim/portals/${portal}/${what}`)).body;
const put = (id: number, fields: object) =>
  b24.send(`/_sim/portals/${portal}/items/2/${id}`, {
    method: 'PUT',
    body: JSON.stringify({ fields }),
    headers: { 'content-type': 'application/json' },
  });
/** The stages of a directory, or what else it has, with what they mean. */
const stages = async (ENTITY_ID: string) =>
  z
    .array(z.looseObject({ STATUS_ID: z.string(), SEMANTICS: z.string().nullable() }))
    .parse((await call('crm.status.list', { filter: { ENTITY_ID }, order: { SORT: 'ASC' } })).at('result'))
    .map(({ STATUS_ID, SEMANTICS }) => [STATUS_ID, SEMANTICS]);
const idOf = (item: unknown) => z.looseObject({ id: z.number() }).parse(item).id;

/** Binds all these events for the application, and tells the data of those that came, in order. */
async function listening(events: readonly string[]) {
  const handler = await TestHandler.start();
  await b24.send(`/_sim/portals/${portal}`, {
    method: 'PATCH',
    body: JSON.stringify({ eventConcurrency: 1 }),
    headers: { 'content-type': 'application/json' },
  });
  const { accessToken } = await b24.install(portal);
  for (const event of events) {
    const bound = await b24.callAs(accessToken, 'event.bind', { event, handler: handler.url }, portal);
    expect(bound.at('result')).toBe(true);
  }
  return {
    accessToken,
    seen: () =>
      handler.forms.map((form) =>
        [...form]
          .filter(([name]) => name === 'event' || name.startsWith('data['))
          .map(([, value]) => value)
          .join(' '),
      ),
    close: () => handler.close(),
  };
}

describe('leads, deals, companies and estimates', () => {
  it.each([
    ['LEAD', 1, { title: 'Lead #1', stageId: 'NEW', stageSemanticId: 'P', dateClosed: null }],
    ['DEAL', 2, { title: 'Deal #1', stageId: 'NEW', categoryId: 0, isNew: 'Y', closed: 'N', opportunity: 0 }],
    ['COMPANY', 4, { title: 'Company #1', hasPhone: 'N', isMyCompany: 'N', categoryId: 0 }],
    ['QUOTE', 7, { title: 'Estimate #1', stageId: 'DRAFT', closed: 'N', contactIds: [] }],
  ])(
    'ONCRM%s…: are added, changed and deleted, each with its event',
    async (code, entityTypeId, defaults) => {
      const names = ['ADD', 'UPDATE', 'DELETE'].map((change) => `ONCRM${code}${change}`);
      const { seen, close } = await listening(names);
      const item = await add(entityTypeId, {});
      expect(item).toMatchObject({ id: 1, entityTypeId, assignedById: 1, opened: 'Y', ...defaults });
      expect(await update(entityTypeId, 1, { title: 'Big one', junk: 1 })).toMatchObject({
        title: 'Big one',
      });
      await call('crm.item.delete', { entityTypeId, id: 1 });
      expect((await call('crm.item.get', { entityTypeId, id: 1 })).error).toEqual([400, 'NOT_FOUND']);
      await eventually(() => expect(seen()).toEqual(names.map((name) => `${name} 1`)));
      await close();
    },
  );

  it('show exactly the fields that crm.item.fields describes', async () => {
    for (const entityTypeId of [1, 2, 4, 7]) {
      const described = (await call('crm.item.fields', { entityTypeId })).at('result.fields');
      const shown = Object.keys(Object(await add(entityTypeId, {})));
      expect(shown.filter((name) => name !== 'entityTypeId').toSorted()).toEqual(
        Object.keys(Object(described)).toSorted(),
      );
      expect(Object.keys(Object(described)).length).toBeGreaterThan(35);
    }
  });

  it('are changed many at once, generated, and changed at random', async () => {
    await b24.control('items/2/make', { count: 120, seed: 3 }, portal);
    const deals = await call('crm.item.list', { entityTypeId: 2, filter: { '=stageSemanticId': 'S' } });
    expect(deals.at('total')).toBeGreaterThan(0);
    const won = z.array(z.looseObject({ stageId: z.string(), closed: z.string() }));
    for (const deal of won.parse(deals.at('result.items'))) {
      expect(deal).toMatchObject({ stageId: 'WON', closed: 'Y' });
    }
    const mass = { entityTypeId: 2, count: 100, fields: { title: 'Deal {n}' } };
    expect((await b24.control('mass-update', mass, portal)).body).toEqual({ updated: 100 });
    const changes = { entityTypeId: 2, count: 50, seed: 1, adds: 0.2, deletes: 0.2 };
    const changed = (await b24.control('random-changes', changes, portal)).body;
    expect(changed).toMatchObject({ added: expect.any(Number), deleted: expect.any(Number) });
  });

  it('have user fields, with events of their own', async () => {
    const { seen, close } = await listening(['ONCRMDEALUSERFIELDADD']);
    const fields = [{ type: 'integer', label: 'Floor', fieldName: 'UF_CRM_1720000000001' }];
    await b24.control('types/2/fields', fields, portal);
    expect(await add(2, { ufCrm_1720000000001: '12' })).toMatchObject({ ufCrm_1720000000001: 12 });
    const filter = { '>ufCrm_1720000000001': 11 };
    expect((await call('crm.item.list', { entityTypeId: 2, filter })).at('total')).toBe(1);
    await eventually(() => expect(seen()).toEqual(['ONCRMDEALUSERFIELDADD 1 CRM_DEAL UF_CRM_1720000000001']));
    await close();
  });

  it('are back after a restore, with their pipelines', async () => {
    await add(2, { title: 'Kept' });
    await b24.control('backup', { as: 'one' }, portal);
    await call('crm.category.add', { entityTypeId: 2, fields: { name: 'Partners' } });
    await update(2, 1, { title: 'Changed', categoryId: 1 });
    await b24.control('restore', { to: 'one' }, portal);
    expect((await call('crm.item.get', { entityTypeId: 2, id: 1 })).at('result.item')).toMatchObject({
      title: 'Kept',
      categoryId: 0,
      stageId: 'NEW',
    });
    expect((await call('crm.category.list', { entityTypeId: 2 })).at('total')).toBe(1);
  });
});

describe('pipelines', () => {
  it('of deals: another one has stages of its own, and a deal that comes to it starts in the first', async () => {
    const { seen, close } = await listening(['ONCRMDEALUPDATE', 'ONCRMDEALMOVETOCATEGORY']);
    const added = await call('crm.category.add', {
      entityTypeId: 2,
      fields: { name: 'Partners', sort: 100 },
    });
    expect(added.at('result.category')).toMatchObject({ id: 1, name: 'Partners', isDefault: 'N' });
    expect((await call('crm.category.list', { entityTypeId: 2 })).at('result.categories')).toMatchObject([
      { id: 1, sort: 100, isDefault: 'N' },
      { id: 0, name: 'General', isDefault: 'Y' },
    ]);
    const id = idOf(await add(2, { stageId: 'EXECUTING' }));
    const moved = await update(2, id, { categoryId: 1 });
    expect(moved).toMatchObject({ categoryId: 1, stageId: 'C1:NEW', stageSemanticId: 'P', isNew: 'Y' });
    expect(await update(2, id, { stageId: 'C1:LOSE' })).toMatchObject({ stageSemanticId: 'F', closed: 'Y' });
    await eventually(() =>
      expect(seen()).toEqual([
        `ONCRMDEALUPDATE ${id}`,
        `ONCRMDEALMOVETOCATEGORY ${id} 1 C1:NEW`,
        `ONCRMDEALUPDATE ${id}`,
      ]),
    );
    expect(await add(2, { categoryId: 1 })).toMatchObject({ stageId: 'C1:NEW' });
    await close();
  });

  it('are what crm.status.list tells, each directory by its name', async () => {
    expect(await stages('DEAL_STAGE')).toEqual(
      expect.arrayContaining([
        ['NEW', null],
        ['WON', 'S'],
        ['LOSE', 'F'],
      ]),
    );
    expect((await stages('STATUS')).at(0)).toEqual(['NEW', null]);
    expect(await stages('QUOTE_STATUS')).toContainEqual(['DECLAINED', 'F']);
    expect(await stages('SOURCE')).toContainEqual(['CALL', null]);
    await b24.control('types', { entityTypeId: 147, title: 'Orders' }, portal);
    expect((await stages('DYNAMIC_147_STAGE_47')).at(0)).toEqual(['DT147_47:NEW', null]);
    expect(await stages('DEAL_STAGE_1')).toEqual([]);
  });

  it.each([
    ['crm.category.list', { entityTypeId: 1 }, 'ENTITY_TYPE_NOT_SUPPORTED'],
    ['crm.category.list', { entityTypeId: 150 }, 'NOT_FOUND'],
    ['crm.category.add', { entityTypeId: 2, fields: { name: ' ' } }, '0'],
  ])('%s with %j is rejected: %s', async (method, params, code) => {
    expect((await call(method, params)).error).toEqual([400, code]);
  });
});

describe('phones and e-mails', () => {
  it('are added, changed and deleted by their keys, and shown by themselves, too', async () => {
    const work = { typeId: 'PHONE', valueType: 'WORK', value: '+1 555 0100' };
    const mail = { typeId: 'EMAIL', valueType: 'HOME', value: 'ada@example.com' };
    const added = await add(3, {
      name: 'Ada',
      fm: { n0: work, n1: mail, n2: { typeId: 'FAX', value: 'x' } },
    });
    expect(added).toMatchObject({
      fm: [
        { id: 1, ...work },
        { id: 2, ...mail },
      ],
      hasPhone: 'Y',
      hasEmail: 'Y',
      hasImol: 'N',
      phone: '+1 555 0100',
      phoneWork: '+1 555 0100',
      phoneMobile: '',
      emailHome: 'ada@example.com',
    });
    const changed = await update(3, 1, { fm: { 1: { value: '+15550100' }, 2: { value: '' } } });
    expect(changed).toMatchObject({ fm: [{ id: 1, ...work, value: '+15550100' }], hasEmail: 'N', email: '' });
    const more = await update(3, 1, { fm: { n0: { typeId: 'PHONE', valueType: 'CAR', value: '+2' } } });
    expect(more).toMatchObject({ fm: [{ id: 1 }, { id: 3, valueType: 'OTHER', value: '+2' }] });
    expect(await add(4, { fm: [work] })).toMatchObject({ fm: [{ id: 4, ...work }], hasPhone: 'Y' });
  });
});

describe('what belongs to an item', () => {
  it('product rows replace each other and make its amount, unless that is kept by hand', async () => {
    const id = idOf(await add(2, {}));
    const rows = [
      { productName: 'Lamp', price: 100, quantity: 3, taxRate: 25 },
      { productName: 'Bulb', price: '2.5', quantity: '4', discountRate: 50, sort: 5 },
    ];
    await call('crm.item.productrow.set', { ownerType: 'D', ownerId: id, productRows: rows });
    const filter = { '=ownerType': 'D', '=ownerId': id };
    const listed = await call('crm.item.productrow.list', { filter, order: { sort: 'ASC' } });
    expect(listed.at('result.productRows')).toMatchObject([
      { productName: 'Bulb', price: 2.5, priceNetto: 5, discountSum: 2.5, quantity: 4 },
      { productName: 'Lamp', priceExclusive: 80, taxRate: 25, ownerId: id, ownerType: 'D' },
    ]);
    const deal = async () => (await call('crm.item.get', { entityTypeId: 2, id })).at('result.item');
    expect(await deal()).toMatchObject({ opportunity: 310 });
    await update(2, id, { isManualOpportunity: 'Y', opportunity: 7 });
    await call('crm.item.productrow.set', { ownerType: 'D', ownerId: id, productRows: [rows[0]] });
    expect(await deal()).toMatchObject({ opportunity: 7 });
    expect((await call('crm.item.productrow.list', { filter })).at('total')).toBe(1);
  });

  it.each([
    ['crm.item.productrow.list', { filter: { '=ownerType': 'D' } }, '100'],
    ['crm.item.productrow.set', { ownerType: 'D', ownerId: 99, productRows: [] }, 'OWNER_NOT_FOUND'],
    [
      'crm.item.productrow.set',
      { ownerType: 'CO', ownerId: 1, productRows: [] },
      'ENTITY_TYPE_NOT_SUPPORTED',
    ],
  ])('%s with %j is rejected: %s', async (method, params, code) => {
    expect((await call(method, params)).error).toEqual([400, code]);
  });

  it('activities are listed by what they belong to, and emit an event', async () => {
    const { seen, close } = await listening(['ONCRMACTIVITYADD']);
    const ids = [idOf(await add(1, {})), idOf(await add(1, {}))];
    const activity = { SUBJECT: 'Call', TYPE_ID: 2, RESPONSIBLE_ID: 1, OWNER_TYPE_ID: 1 };
    const COMMUNICATIONS = [{ TYPE: 'PHONE', VALUE: '+15550100', ENTITY_TYPE_ID: 1, ENTITY_ID: ids[0] }];
    for (const OWNER_ID of ids)
      await call('crm.activity.add', { fields: { ...activity, OWNER_ID, COMMUNICATIONS } });
    const filter = { OWNER_TYPE_ID: 1, OWNER_ID: ids[1] };
    const listed = await call('crm.activity.list', { filter });
    expect(listed.at('result')).toMatchObject([{ ID: '2', OWNER_ID: '2', SUBJECT: 'Call', COMPLETED: 'N' }]);
    expect(listed.at('result.0')).not.toHaveProperty('COMMUNICATIONS');
    await eventually(() => expect(seen()).toEqual(['ONCRMACTIVITYADD 1', 'ONCRMACTIVITYADD 2']));
    const rejected = await call('crm.activity.add', { fields: { ...activity, OWNER_ID: ids[0] } });
    expect(rejected.at('error_description')).toBe('The field COMMUNICATIONS is not defined or invalid');
    await close();
  });
});

describe('a test', () => {
  it('puts items with ids of its own, of which nobody hears, and reads what callers have written', async () => {
    const { seen, close } = await listening(['ONCRMDEALADD', 'ONCRMDEALUPDATE']);
    for (const id of [82, 7]) expect((await put(id, { title: `Deal ${id}` })).at('id')).toBe(id);
    await put(7, { title: 'Seven' });
    const listed = await call('crm.item.list', { entityTypeId: 2, select: ['id', 'title'] });
    expect(listed.at('result.items')).toEqual([
      { id: 7, title: 'Seven' },
      { id: 82, title: 'Deal 82' },
    ]);
    expect(await recorded('writes')).toEqual([]);
    expect(idOf(await add(2, {}))).toBe(83);
    await call('batch', { cmd: { one: 'crm.item.update?entityTypeId=2&id=7&fields[title]=x' } });
    await call('crm.item.update', { entityTypeId: 2, id: 404, fields: {} });
    expect(await recorded('writes')).toMatchObject([
      { method: 'crm.item.add', entityTypeId: 2, itemId: null },
      { method: 'crm.item.update', entityTypeId: 2, itemId: 7 },
    ]);
    await eventually(() => expect(seen()).toEqual(['ONCRMDEALADD 83', 'ONCRMDEALUPDATE 7']));
    await close();
  });
});

describe('people', () => {
  it('are listed by user.get, with contact details only where the scope has them', async () => {
    const { accessToken } = await b24.install(portal);
    const get = (params: object = {}) => b24.callAs(accessToken, 'user.get', params, portal);
    const all = await get();
    expect(all.at('total')).toBe(20);
    expect(all.at('result.0')).toMatchObject({ ID: '1', ACTIVE: true, NAME: 'Olena', LAST_NAME: 'Koval' });
    expect(all.at('result.0')).not.toHaveProperty('EMAIL');
    expect((await call('user.get', { ID: 3, FILTER: { ID: 3 } })).at('result.0.EMAIL')).toBe(
      'user3@example.com',
    );
    const some = await get({
      FILTER: { '@ID': [2, 5], ACTIVE: true },
      sort: 'ID',
      order: 'DESC',
      select: ['ID'],
    });
    expect(some.at('result')).toEqual([{ ID: '5' }, { ID: '2' }]);
    expect((await get({ FILTER: { ACTIVE: false } })).at('result')).toEqual([]);
  });

  it('get notifications and tasks, which a test can read', async () => {
    const { seen, accessToken, close } = await listening(['ONTASKADD']);
    const asApplication = (method: string, params: object) => b24.callAs(accessToken, method, params, portal);
    expect((await asApplication('im.notify', { USER_ID: 2, MESSAGE: ' A new deal ' })).at('result')).toBe(1);
    expect((await asApplication('im.notify', { USER_ID: 0, MESSAGE: 'x' })).error).toEqual([
      400,
      'USER_ID_EMPTY',
    ]);
    expect((await asApplication('im.notify', { USER_ID: 2 })).error).toEqual([400, 'MESSAGE_EMPTY']);
    const task = { TITLE: 'Call back', RESPONSIBLE_ID: 2, UF_CRM_TASK: ['D_1'] };
    const added = await asApplication('tasks.task.add', { fields: task });
    expect(added.at('result.task')).toMatchObject({ id: '1', title: 'Call back', responsibleId: '2' });
    for (const fields of [{ TITLE: 'x' }, { RESPONSIBLE_ID: 1 }, { TITLE: 'x', RESPONSIBLE_ID: 99 }]) {
      expect((await asApplication('tasks.task.add', { fields })).error).toEqual([400, 'ERROR_CORE']);
    }
    expect(await recorded('notifications')).toEqual([
      { id: 1, userId: 2, type: 'USER', message: 'A new deal', tag: '' },
    ]);
    expect(await recorded('tasks')).toEqual([{ ...task, id: 1, CREATED_BY: 1 }]);
    await eventually(() => expect(seen()).toEqual(['ONTASKADD undefined 1 N undefined']));
    await close();
  });

  it('of an application without the scope get nothing', async () => {
    await b24.post('/_sim/portals', { name: `${portal}-b`, scope: ['crm'] });
    const { accessToken } = await b24.install(`${portal}-b`);
    for (const method of ['im.notify', 'tasks.task.add', 'user.get']) {
      const { error } = await b24.callAs(accessToken, method, { USER_ID: 1, MESSAGE: 'x' }, `${portal}-b`);
      expect(error).toEqual([401, 'insufficient_scope']);
    }
  });
});
