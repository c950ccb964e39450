import { describe, expect, it } from '@jest/globals';
import { type ItemType, toItem } from './crm-items.js';

/** `api-reference/crm/universal/crm-item-get.md`, without its disabled fields. */
const LEAD = {
  id: 250,
  createdTime: '2024-07-22T18:00:08+02:00',
  createdBy: 1,
  opened: 'Y',
  companyId: 0,
  stageId: 'IN_PROCESS',
  statusDescription: null,
  opportunity: 999.9,
  currencyId: 'USD',
  title: 'Lead #250',
  birthdate: '2000-01-01T02:00:00+02:00',
  hasPhone: 'Y',
  hasImol: 'N',
  phoneMobile: '',
  fm: [{ id: 101, valueType: 'WORK', value: '+6111111111', typeId: 'PHONE' }],
  ufCrm_1720019876534: '321',
  parentId1222: null,
  observers: [],
  contactIds: [],
  entityTypeId: 1,
};
const TYPES: ItemType[] = ['lead', 'deal', 'contact', 'company', 'quote', 'invoice', 'smartProcess'];

describe('a typed item', () => {
  it('is the item of the documentation, with every value as it came', () => {
    expect(toItem('lead', LEAD)).toEqual(LEAD);
  });

  it('has types by its object type', () => {
    const lead = toItem('lead', LEAD);
    const title: string | null | undefined = lead.title;
    const hasPhone: 'Y' | 'N' | null | undefined = lead.hasPhone;
    const amount: number | null | undefined = lead.opportunity;
    const userField: unknown = lead['ufCrm_1720019876534'];
    // @ts-expect-error it is text, or nothing
    const wrong: number = lead.title;
    expect([title, hasPhone, amount, userField, wrong]).toEqual(['Lead #250', 'Y', 999.9, '321', title]);
  });

  it.each(TYPES)('%s has nothing that was not there', (type) => {
    expect(Object.keys(toItem(type, { id: 1 }))).toEqual(['id']);
  });

  it('has numbers that PHP wrote as text, and an id of more digits than a number holds as text', () => {
    expect(toItem('deal', { id: '9007199254740993', opportunity: '19.50', categoryId: '-3' })).toEqual({
      id: '9007199254740993',
      opportunity: 19.5,
      categoryId: -3,
    });
  });

  it.each([
    { title: { a: 1 } },
    { title: 5 },
    { opportunity: '1e9' },
    { opened: true },
    { fm: [{ id: 'x' }] },
  ])('drops what no portal should send: %j', (field) => {
    expect(toItem('lead', { id: 1, ...field, name: 'Ann' })).toEqual({ id: 1, name: 'Ann' });
  });

  it('has the prototype of every object, whatever its keys are', () => {
    const hostile: unknown = JSON.parse('{"id":1,"__proto__":{"title":"inherited"},"constructor":"x"}');
    const item = toItem('deal', Object(hostile));
    expect(item.title).toBeUndefined();
    expect(Object.getPrototypeOf(item)).toBe(Object.prototype);
  });

  it('needs an id', () => {
    expect(() => toItem('deal', { title: 'x' })).toThrow(/id/);
  });
});
