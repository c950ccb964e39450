import { describe, expect, it } from '@jest/globals';
import { httpBody, type PhpValue } from '../test/http-build-query.js';
import { parseEvent } from '../test/parse-event.js';
import { decodeForm } from './form.js';

const parseItem = (event: string, fields: { [key: string]: PhpValue }) => {
  const body = { event, data: { FIELDS: fields }, ts: '1766047124', auth: { member_id: 'm' } };
  return parseEvent(decodeForm(httpBody(body)), 0).event;
};

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

  it.each([null, '', ['1'], 'a b', 'é', '1\n', '1'.repeat(65)])('is null with the id %j', (id) => {
    expect(parseItem('ONCRMCONTACTADD', { ID: id, X: '1' })).toMatchObject({ entityId: null, entity: null });
  });
});
