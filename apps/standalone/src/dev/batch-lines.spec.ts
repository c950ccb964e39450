import { describe, expect, it } from '@jest/globals';
import { lineOf } from './batch-lines.js';

const batch = {
  events: ['ONCRMDEALADD'],
  entities: ['CRMDEAL:82'],
  count: 1,
  failed: 0,
  requests: [],
  tookMs: 33.6,
};

describe('the line of a batch', () => {
  it('says which event of what was handled, and how long it took', () => {
    expect(lineOf(batch)).toBe('ONCRMDEALADD CRMDEAL:82: done in 34 ms (no request)');
  });

  it('counts what it does not name, and names the methods of its requests once', () => {
    const requests = [
      ['crm.item.list', 'batch'],
      ['crm.item.update', 'batch'],
    ];
    const events = ['ONCRMDEALADD', 'ONCRMDEALUPDATE'];
    expect(lineOf({ ...batch, events, count: 3, entities: ['CRMDEAL:82', 'CRMDEAL:83'], requests })).toBe(
      'ONCRMDEALADD, ONCRMDEALUPDATE CRMDEAL:82 and 2 more: done in 34 ms (2 requests: crm.item.list, batch, crm.item.update)',
    );
  });

  it.each([
    [1, '1 of 3 failed with ACCESS_DENIED after 34 ms'],
    [0, '3 of 3 failed with ACCESS_DENIED after 34 ms'],
  ])('says how many failed, where the handler returned %d', (failed, text) => {
    expect(lineOf({ ...batch, count: 3, failed, error: 'ACCESS_DENIED' })).toContain(text);
  });
});
