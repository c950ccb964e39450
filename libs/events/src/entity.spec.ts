import { describe, expect, it } from '@jest/globals';
import { httpBody, type PhpValue } from '../test/http-build-query.js';
import { parseEvent } from '../test/parse-event.js';
import { carriesMoreThanKey, keyOnlyData, namesEntity } from './entity.js';
import { decodeForm } from './form.js';
import type { FormTree } from './form-tree.js';

const parse = (event: string, data: PhpValue) => {
  const body = { event, data, ts: '1766047124', auth: { member_id: 'm' } };
  return parseEvent(decodeForm(httpBody(body)), 0).event;
};

const parseItem = (event: string, fields: { [key: string]: PhpValue }) => parse(event, { FIELDS: fields });

describe('the entity of an event', () => {
  it.each(['ADD', 'UPDATE', 'DELETE'])('is the same for %s', (happened) => {
    expect(parseItem(`ONCRMCONTACT${happened}`, { ID: '82' }).entity).toBe('CRMCONTACT:82');
    expect(parseItem(`CATALOG.PRICE.ON.${happened}`, { ID: '7' }).entity).toBe('CATALOG.PRICE:7');
    expect(parseItem(`ONCRMDYNAMICITEM${happened}`, { ID: '5', ENTITY_TYPE_ID: '147' }).entity).toBe(
      'CRMDYNAMICITEM_147:5',
    );
    expect(parseItem(`ONCRMDYNAMICITEM${happened}_147`, { ID: '5' }).entity).toBe('CRMDYNAMICITEM_147:5');
  });

  it('does not come from the fields of the entity', () => {
    expect(parseItem('ONCRMCONTACTUSERFIELDADD', { ID: '82' }).entity).toBe('CRMCONTACTUSERFIELD:82');
  });

  it('can be a code', () => {
    expect(parseItem('ONCRMCURRENCYADD', { ID: 'CHE' }).entity).toBe('CRMCURRENCY:CHE');
  });

  it('has the type of the suffix if ENTITY_TYPE_ID differs', () => {
    expect(parseItem('ONCRMDYNAMICITEMADD_147', { ID: '5', ENTITY_TYPE_ID: '150' })).toMatchObject({
      name: 'ONCRMDYNAMICITEMADD',
      entityTypeId: 147,
      entity: 'CRMDYNAMICITEM_147:5',
    });
  });

  it.each([null, '', 'x', '0', '-1', '1.5', '99999999999', ['147']])(
    'is null for a smart process item of type %j',
    (type) => {
      expect(parseItem('ONCRMDYNAMICITEMADD', { ID: '5', ENTITY_TYPE_ID: type })).toMatchObject({
        entityTypeId: 0,
        entityId: '5',
        entity: null,
      });
    },
  );

  it('ignores the type of an owner', () => {
    const document = { ID: '1869', ENTITY_TYPE_ID: '147', ENTITY_ID: '5' };
    expect(parseItem('ONCRMDOCUMENTGENERATORDOCUMENTADD', document)).toMatchObject({
      entityTypeId: 0,
      entity: 'CRMDOCUMENTGENERATORDOCUMENT:1869',
    });
  });

  it.each([null, '', ['1'], 'a b', 'é', '1\n', '1'.repeat(65), '0', '00', '007', 'undefined'])(
    'is null with the id %j',
    (id) => {
      expect(parseItem('ONCRMCONTACTADD', { ID: id, X: '1' })).toMatchObject({
        entityId: null,
        entity: null,
      });
    },
  );

  it('keeps an id of sixteen digits as it stands', () => {
    expect(parseItem('ONCRMCONTACTADD', { ID: '9007199254740993' })).toMatchObject({
      entityId: '9007199254740993',
      entity: 'CRMCONTACT:9007199254740993',
    });
  });

  it.each([
    ['CRMCONTACT:300', 'ONCRMCONTACTADD ONCRMCONTACTUPDATE ONCRMCONTACTDELETE'],
    ['CRMDEAL:300', 'ONCRMDEALADD ONCRMDEALUPDATE ONCRMDEALDELETE ONCRMDEALMOVETOCATEGORY'],
    ['CRMINVOICE:300', 'ONCRMINVOICEADD ONCRMINVOICEUPDATE ONCRMINVOICEDELETE ONCRMINVOICESETSTATUS'],
    [
      'CRMDEALUSERFIELD:300',
      'ONCRMDEALUSERFIELDADD ONCRMDEALUSERFIELDDELETE ONCRMDEALUSERFIELDSETENUMVALUES',
    ],
    ['ORDER:300', 'ONORDERENTITYSAVED ONORDERDELETED ONSALEORDERSAVED ONSALEBEFOREORDERDELETE'],
    ['PAYMENT:300', 'ONPAYMENTENTITYSAVED ONPAYMENTDELETED'],
    ['SHIPMENT:300', 'ONSHIPMENTENTITYSAVED ONSHIPMENTDELETED'],
    ['PROPERTYVALUE:300', 'ONPROPERTYVALUEENTITYSAVED ONPROPERTYVALUEDELETED'],
  ])('is %s for each of %s', (entity, names) => {
    expect(names.split(' ').map((name) => parseItem(name, { ID: '300' }).entity)).toEqual(
      names.split(' ').map(() => entity),
    );
  });

  it('is the new deal, not the template, when a recurring deal is made', () => {
    const expose = (deal: string) =>
      parseItem('ONCRMDEALRECURRINGEXPOSE', { ID: '9', RECURRING_DEAL_ID: '91', DEAL_ID: deal });
    expect(expose('99')).toMatchObject({ entityId: '99', entity: 'CRMDEALEXPOSED:99' });
    expect(expose('98').entity).not.toBe(expose('99').entity);
    expect(parseItem('ONCRMDEALRECURRINGEXPOSE', { ID: '9' }).entity).toBeNull();
  });

  it('is null for an event that is not known, which keeps its id', () => {
    expect(parseItem('ONCRMSOMETHINGADD', { ID: '5' })).toMatchObject({ entityId: '5', entity: null });
    expect(parse('ONCRMSOMETHINGADD', { ID: '5' })).toMatchObject({ entityId: null, entity: null });
    expect([namesEntity('ONCRMSOMETHINGADD'), namesEntity('ONCRMCONTACTADD')]).toEqual([false, true]);
  });

  it.each([
    ['ONCRMTIMELINECOMMENTADD', { FIELDS: { ID: '9' } }, 'CRMTIMELINECOMMENT:9'],
    ['ONCRMTIMELINECOMMENTADD', { ID: '9' }, 'CRMTIMELINECOMMENT:9'],
    ['ONTASKADD', { FIELDS_BEFORE: 'undefined', FIELDS_AFTER: { ID: '9' } }, 'TASK:9'],
    ['ONTASKDELETE', { FIELDS_BEFORE: { ID: '9' }, FIELDS_AFTER: 'undefined' }, 'TASK:9'],
    ['ONTASKDELETE', { FIELDS_BEFORE: { ID: '9' }, FIELDS_AFTER: { ID: 'undefined' } }, 'TASK:9'],
    ['ONTASKUPDATE', { FIELDS_BEFORE: 'undefined', FIELDS_AFTER: 'undefined' }, null],
    ['ONTASKCOMMENTADD', { FIELDS_AFTER: { ID: '9', TASK_ID: '5' } }, 'TASKCOMMENT:9'],
    ['ONTASKCOMMENTADD', { FIELDS_AFTER: { ID: '0', TASK_ID: '5', MESSAGE_ID: '9' } }, 'TASKMESSAGE:9'],
    ['ONTASKCOMMENTADD', { FIELDS_AFTER: { ID: '0', TASK_ID: '5' } }, null],
    ['ONBOOKINGADD', { FIELDS: { ID: '9' } }, null],
    ['ONCALENDARENTRYADD', { id: '9' }, 'CALENDARENTRY:9'],
    ['ONCALENDARENTRYADD', { id: { ID: '9' } }, null],
    ['ONIMBOTMESSAGEADD', { ID: '9', FIELDS: { ID: '9' } }, null],
  ])('of %s with %j is %s', (name, data, entity) => {
    expect(parse(name, data).entity).toBe(entity);
  });
});

const fields = (entries: FormTree): FormTree => ({ FIELDS: entries });

describe('an event carries more than its key', () => {
  it.each<[boolean, number, FormTree]>([
    [false, 0, fields({ ID: '82' })],
    [false, 0, { ID: '82' }],
    [false, 147, fields({ ID: '82', ENTITY_TYPE_ID: '147' })],
    [false, 0, {}],
    [true, 0, fields({ ID: '82', ENTITY_TYPE_ID: '1' })],
    [true, 147, fields({ ID: '82', ENTITY_TYPE_ID: '147', STAGE_ID: '1' })],
    [true, 0, fields({ ID: '1', TYPE: '1' })],
    [true, 0, { FIELDS: { ID: '82' }, X: '1' }],
    [true, 0, fields({ ID: '82', X: { Y: '1' } })],
    [true, 0, { FIELDS_BEFORE: 'undefined', FIELDS_AFTER: { ID: '82' } }],
  ])('%s: type %d, %j', (expected, entityTypeId, data) => {
    expect(carriesMoreThanKey(data, entityTypeId)).toBe(expected);
  });
});

describe('the data that are made of a key', () => {
  it('are of the path that leads to this kind of thing', () => {
    expect(keyOnlyData('ONTASKCOMMENTADD', 0, 'TASKMESSAGE:5')).toEqual({
      FIELDS_AFTER: { MESSAGE_ID: '5' },
    });
    expect(keyOnlyData('ONCRMCURRENCYADD', 0, 'CRMCURRENCY:A:B')).toEqual({ FIELDS: { ID: 'A:B' } });
    expect(keyOnlyData('ONCRMDYNAMICITEMADD', 147, 'CRMDYNAMICITEM_147:5')).toEqual({
      FIELDS: { ID: '5', ENTITY_TYPE_ID: '147' },
    });
  });

  it.each([
    ['ONCRMCONTACTADD', 0, 'CRMDEAL:5'],
    ['ONCRMCONTACTADD', 0, 'CRMCONTACT:'],
    ['ONCRMCONTACTADD', 0, ''],
    ['ONCRMDYNAMICITEMADD', 148, 'CRMDYNAMICITEM_147:5'],
    ['ONAPPTEST', 0, 'CRMCONTACT:5'],
  ])('are none if %s of type %i does not name %s', (name, entityTypeId, entity) => {
    expect(keyOnlyData(name, entityTypeId, entity)).toBeUndefined();
  });
});
