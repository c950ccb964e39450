import { describe, expect, it } from '@jest/globals';
import { toItemRow } from './item-row.js';

/** An item of `api-reference/crm/universal/crm-item-get.md`, shortened. */
const item = {
  id: 250,
  title: 'Order #250',
  stageId: 'DT147_9:NEW',
  categoryId: 9,
  assignedById: 1,
  createdBy: 2,
  updatedBy: 3,
  createdTime: '2024-07-22T18:00:08+02:00',
  updatedTime: '2024-07-23T00:30:00+02:00',
  movedTime: '2024-07-23T00:31:00+02:00',
  opportunity: 1250.5,
  currencyId: 'EUR',
  ufCrm5_1720019876534: '321',
};

describe('toItemRow', () => {
  it('fills the columns, times in UTC, and keeps all fields beside them', () => {
    expect(toItemRow('250', item)).toEqual({
      item_id: '250',
      title: 'Order #250',
      stage_id: 'DT147_9:NEW',
      category_id: 9,
      assigned_by_id: 1,
      created_by_id: 2,
      updated_by_id: 3,
      created_time: '2024-07-22T16:00:08.000Z',
      updated_time: '2024-07-22T22:30:00.000Z',
      moved_time: '2024-07-22T22:31:00.000Z',
      opportunity: '1250.5',
      currency_id: 'EUR',
      fields: item,
    });
  });

  it('takes whole numbers as text, and numbers as titles', () => {
    expect(toItemRow('1', { id: '1', title: 2026, categoryId: '9', assignedById: '0' })).toMatchObject({
      title: '2026',
      category_id: 9,
      assigned_by_id: 0,
    });
  });

  it.each([
    ['title', { title: { text: 'Order' } }, 'title'],
    ['stage', { stageId: ['NEW'] }, 'stage_id'],
    ['pipeline beyond 32 bits', { categoryId: 4294967296 }, 'category_id'],
    ['pipeline that is no number', { categoryId: 'first' }, 'category_id'],
    ['amount in words', { opportunity: 'a lot' }, 'opportunity'],
    ['half a user', { assignedById: 1.5 }, 'assigned_by_id'],
    ['zero date of PHP', { createdTime: '-0001-11-30T00:00:00+00:00' }, 'created_time'],
    ['year zero', { createdTime: '0000-00-00T00:00:00+00:00' }, 'created_time'],
    ['date that is none', { createdTime: '2024-13-45T00:00:00+00:00' }, 'created_time'],
    ['time in words', { updatedTime: 'yesterday' }, 'updated_time'],
    ['absent time', {}, 'updated_time'],
  ])('leaves a column empty rather than store a wrong value: %s', (_, fields, column) => {
    const row = toItemRow('1', { id: 1, ...fields });
    expect(row).toHaveProperty(column, null);
    expect(row.fields).toEqual({ id: 1, ...fields });
  });
});
