import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../../../test/support/eventually.js';
import { TestHandler, TestSimulator } from '../../test/support.js';

let b24: TestSimulator;

beforeAll(async () => {
  b24 = await TestSimulator.start();
  const types = [
    { entityTypeId: 147, title: 'Orders', fields: 'every' },
    { entityTypeId: 150, title: 'Visits', isStagesEnabled: 'N' },
  ];
  await b24.post('/_sim/portals', { name: 'acme', rate: 1000, burst: 100_000, types });
});
afterAll(() => b24.close());

const call = (method: string, params: object = {}) => b24.call(method, params, 'acme');
const descriptions = z.record(z.string(), z.looseObject({ type: z.string(), isMultiple: z.boolean() }));
const fieldsOf = async (entityTypeId: number, more: object = {}) =>
  descriptions.parse((await call('crm.item.fields', { entityTypeId, ...more })).at('result.fields'));

/** The name of the user field of this kind. */
const nameOf = async (type: string, isMultiple = false) => {
  const found = Object.entries(await fieldsOf(147)).find(
    ([name, field]) => name.startsWith('uf') && field.type === type && field.isMultiple === isMultiple,
  );
  return found?.[0] ?? '';
};

const save = async (name: string, value: unknown) => {
  const answer = await call('crm.item.add', { entityTypeId: 147, fields: { [name]: value } });
  return answer.status === 200 ? answer.at(`result.item.${name}`) : answer.error;
};

describe('crm.item.fields', () => {
  it('describes the fields that every type has, and those of its settings', async () => {
    const fields = await fieldsOf(147);
    expect(fields['id']).toEqual({
      type: 'integer',
      isRequired: false,
      isReadOnly: true,
      isImmutable: false,
      isMultiple: false,
      isDynamic: false,
      title: 'ID',
      upperName: 'ID',
    });
    expect(fields['stageId']).toMatchObject({ type: 'crm_status', statusType: 'DYNAMIC_147_STAGE_47' });
    expect(fields['assignedById']).toMatchObject({ type: 'user', upperName: 'ASSIGNED_BY_ID' });
    expect(fields['parentId150']).toMatchObject({
      type: 'crm_entity',
      title: 'Visits',
      settings: { parentEntityTypeId: 150 },
      upperName: 'PARENT_ID_150',
    });
    expect(fields).not.toHaveProperty('entityTypeId');
    expect(await fieldsOf(150)).not.toHaveProperty('stageId');
    expect(await fieldsOf(3)).toHaveProperty('lastName');
  });

  it('describes user fields of every kind, for one value and for many, and the options of a list', async () => {
    const fields = Object.entries(await fieldsOf(147)).filter(([name]) => name.startsWith('uf'));
    const kinds = (isMultiple: boolean) =>
      fields.filter(([, field]) => field.isMultiple === isMultiple).map(([, { type }]) => type);
    expect(kinds(false)).toHaveLength(16);
    expect(kinds(true)).toHaveLength(15);
    expect(Object.fromEntries(fields)[await nameOf('enumeration')]).toMatchObject({
      isDynamic: true,
      items: [
        { ID: '1', VALUE: 'Red' },
        { ID: '2', VALUE: 'Green' },
        { ID: '3', VALUE: 'Blue' },
        { ID: '4', VALUE: 'Синій' },
      ],
      title: 'Enumeration',
      formLabel: 'Enumeration',
      upperName: expect.stringMatching(/^UF_CRM_1_\d+$/),
    });
    expect(Object.fromEntries(fields)[await nameOf('string')]).not.toHaveProperty('items');
  });

  it('of a type that there is not, or that is hidden, is an error', async () => {
    expect((await call('crm.item.fields', { entityTypeId: 999 })).error).toEqual([400, 'NOT_FOUND']);
    await b24.control('rights', { entityTypeId: 150, hidden: 'all' }, 'acme');
    expect((await call('crm.item.fields', { entityTypeId: 150 })).error).toEqual([400, 'ACCESS_DENIED']);
    await b24.control('rights', { entityTypeId: 150, hidden: [] }, 'acme');
  });
});

describe('a user field keeps', () => {
  it.each([
    ['string', 'Ünïcode', 'Ünïcode'],
    ['integer', '-7', -7],
    ['double', '2.50', 2.5],
    ['boolean', 'Y', 'Y'],
    ['boolean', 0, 'N'],
    ['date', '2026-03-01', '2026-03-01T00:00:00+00:00'],
    ['datetime', '2026-03-01T10:00:00+02:00', '2026-03-01T08:00:00+00:00'],
    ['money', '100.5|EUR', '100.5|EUR'],
    ['enumeration', '2', 2],
    ['crm', 'CO_5', 'CO_5'],
    ['employee', '1', 1],
    ['iblock_element', 33, 33],
    ['integer', '', null],
    ['date', '', null],
  ])('of kind %s: %j as %j', async (type, written, shown) => {
    expect(await save(await nameOf(type), written)).toBe(shown);
  });

  it.each([
    ['integer', 'many'],
    ['double', 'much'],
    ['enumeration', 77],
    ['date', 'tomorrow'],
    ['datetime', '2026-13-01'],
    ['string', { a: 1 }],
  ])('nothing of kind %s that does not fit: %j', async (type, written) => {
    expect(await save(await nameOf(type), written)).toEqual([400, 'CRM_FIELD_ERROR_VALUE_NOT_VALID']);
  });

  it('many values as a list, and rejects a single one', async () => {
    expect(await save(await nameOf('integer', true), ['1', 2])).toEqual([1, 2]);
    expect(await save(await nameOf('string', true), '')).toEqual([]);
    expect(await save(await nameOf('string', true), 'one')).toEqual([400, '100']);
  });

  it('files by their own ids, with an address that contains the authorization of the caller', async () => {
    const name = await nameOf('file');
    const { accessToken } = await b24.install('acme');
    const params = { entityTypeId: 147, fields: { [name]: ['a.txt', 'YQ=='] } };
    const added = await b24.callAs(accessToken, 'crm.item.add', params, 'acme');
    const file = `result.item.${name}`;
    expect(added.text(`${file}.urlMachine`)).toContain(`auth=${accessToken}`);
    const again = await call('crm.item.get', { entityTypeId: 147, id: added.at('result.item.id') });
    expect(again.at(`${file}.id`)).toBe(added.at(`${file}.id`));
    expect(again.text(`${file}.urlMachine`)).not.toContain(accessToken);
    const control = await b24.send(`/_sim/portals/acme/items/147/${String(added.at('result.item.id'))}`);
    expect(control.at(name)).toEqual({ id: added.at(`${file}.id`) });
  });
});

describe('a field of a type', () => {
  it('that its settings have not is null', async () => {
    const answer = await call('crm.item.add', { entityTypeId: 150, fields: { title: 'x' } });
    expect(answer.at('result.item')).toMatchObject({
      title: 'x',
      stageId: null,
      movedTime: null,
      opened: 'Y',
    });
  });

  it('is written by its original name throughout when that is wanted', async () => {
    const name = await nameOf('string');
    const original = (await fieldsOf(147))[name]?.['upperName'];
    const field = z.string().parse(original);
    const original147 = { entityTypeId: 147, useOriginalUfNames: 'Y' };
    expect(await fieldsOf(147, { useOriginalUfNames: 'Y' })).toHaveProperty(field);
    const added = await call('crm.item.add', { ...original147, fields: { [field]: 'find me' } });
    expect(added.at(`result.item.${field}`)).toBe('find me');
    const listed = await call('crm.item.list', {
      ...original147,
      select: ['id', field],
      filter: { '0': { logic: 'OR', '0': { [`%${field}`]: 'find me' }, '1': { id: 0 } } },
      order: { [field]: 'ASC' },
    });
    expect(listed.at('result.items')).toEqual([{ id: added.at('result.item.id'), [field]: 'find me' }]);
    const usual = await call('crm.item.list', { entityTypeId: 147, filter: { [`%${field}`]: 'find me' } });
    expect(usual.error).toEqual([400, 'INVALID_ARG_VALUE']);
  });

  it('of yes or no is filtered by 1 or 0, not by Y or N', async () => {
    const name = await nameOf('boolean');
    const added = await call('crm.item.add', { entityTypeId: 147, fields: { [name]: 'Y' } });
    const ids = async (wanted: unknown) => {
      const filter = { id: added.at('result.item.id'), [name]: wanted };
      return (await call('crm.item.list', { entityTypeId: 147, filter })).at('total');
    };
    expect([await ids(1), await ids(0), await ids('Y')]).toEqual([1, 0, 0]);
  });

  it('is selected with all other user fields by uf_*', async () => {
    const listed = await call('crm.item.list', { entityTypeId: 147, select: ['id', 'uf_*'] });
    const [item] = z.array(z.record(z.string(), z.unknown())).parse(listed.at('result.items'));
    expect(Object.keys(item ?? {})).toHaveLength(1 + 16 + 15);
  });
});

describe('userfieldconfig.*', () => {
  const crm = { moduleId: 'crm' };

  it('adds, shows, changes and deletes a field, each with its event', async () => {
    const handler = await TestHandler.start();
    const { accessToken } = await b24.install('acme');
    for (const change of ['ADD', 'UPDATE', 'DELETE', 'SETENUMVALUES']) {
      const event = `ONCRMTYPEUSERFIELD${change}`;
      await b24.callAs(accessToken, 'event.bind', { event, handler: handler.url }, 'acme');
    }
    const field = {
      entityId: 'CRM_2',
      fieldName: 'UF_CRM_2_COLOUR',
      userTypeId: 'enumeration',
      editFormLabel: { en: 'Colour' },
      enum: [{ value: 'Red' }, { value: 'Blue', def: 'Y' }],
    };
    const added = await call('userfieldconfig.add', { ...crm, field });
    const id = added.at('result.field.id');
    const red = added.at('result.field.enum.0.id');
    expect((await fieldsOf(150))['ufCrm2Colour']).toMatchObject({ title: 'Colour' });
    const item = await call('crm.item.add', { entityTypeId: 150, fields: { ufCrm2Colour: red } });
    const change = { editFormLabel: 'Paint', enum: [{ id: red, value: 'Crimson' }, { value: 'Green' }] };
    await call('userfieldconfig.update', { ...crm, id, field: change });
    expect((await call('userfieldconfig.get', { ...crm, id })).at('result.field')).toMatchObject({
      editFormLabel: { en: 'Paint' },
      enum: [{ id: red, value: 'Crimson' }, { value: 'Green' }],
    });
    const listed = await call('userfieldconfig.list', { ...crm, filter: { entityId: 'CRM_2' } });
    expect(listed.at('result.fields')).toMatchObject([{ id, fieldName: 'UF_CRM_2_COLOUR' }]);
    await call('userfieldconfig.delete', { ...crm, id });
    expect((await call('userfieldconfig.get', { ...crm, id })).error).toEqual([400, '']);
    const after = await call('crm.item.get', { entityTypeId: 150, id: item.at('result.item.id') });
    expect(after.at('result.item')).not.toHaveProperty('ufCrm2Colour');
    await eventually(() => expect(handler.forms).toHaveLength(5));
    expect(handler.forms.map((form) => form.get('event') ?? '').toSorted()).toEqual([
      'ONCRMTYPEUSERFIELDADD',
      'ONCRMTYPEUSERFIELDDELETE',
      'ONCRMTYPEUSERFIELDSETENUMVALUES',
      'ONCRMTYPEUSERFIELDSETENUMVALUES',
      'ONCRMTYPEUSERFIELDUPDATE',
    ]);
    const [form] = handler.forms;
    expect(['ID', 'ENTITY_ID', 'FIELD_NAME'].map((key) => form?.get(`data[FIELDS][${key}]`))).toEqual([
      id,
      'CRM_2',
      'UF_CRM_2_COLOUR',
    ]);
    await handler.close();
  });

  it('is rejected for an application without the permission, and for names that are not allowed', async () => {
    const { accessToken } = await b24.install('acme');
    const list = await b24.callAs(accessToken, 'userfieldconfig.list', crm, 'acme');
    expect(list.error).toEqual([401, 'insufficient_scope']);
    const add = (field: object) => call('userfieldconfig.add', { ...crm, field });
    const wrong = { entityId: 'CRM_2', fieldName: 'UF_CRM_1_X', userTypeId: 'string' };
    expect((await add(wrong)).text('error_description')).toBe('You cannot create custom fields');
    const right = { ...wrong, fieldName: 'UF_CRM_2_X' };
    expect((await add(right)).status).toBe(200);
    expect((await add(right)).text('error_description')).toMatch(/already exists/);
  });
});

it('a user field is changed and deleted under /_sim by either name', async () => {
  const order = [{ type: 'money', fieldName: 'UF_CRM_2_PRICE', label: 'Price' }];
  const added = await b24.control('types/150/fields', order, 'acme');
  expect(added.at('0')).toMatchObject({ userTypeId: 'money', editFormLabel: { en: 'Price' } });
  const path = '/_sim/portals/acme/types/150/fields';
  const body = JSON.stringify({ label: 'Cost' });
  await b24.send(`${path}/ufCrm2Price`, { method: 'PATCH', body });
  expect((await fieldsOf(150))['ufCrm2Price']).toMatchObject({ title: 'Cost' });
  expect((await b24.send(`${path}/UF_CRM_2_PRICE`, { method: 'DELETE' })).status).toBe(200);
  expect(await fieldsOf(150)).not.toHaveProperty('ufCrm2Price');
  expect((await b24.send(`${path}/UF_CRM_2_PRICE`, { method: 'DELETE' })).status).toBe(404);
  expect((await b24.control('types/150/fields', [{ type: 'colour' }], 'acme')).status).toBe(400);
});
