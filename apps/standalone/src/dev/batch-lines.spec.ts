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

  it('counts what it does not name, and names each request once, by what was sent', () => {
    const requests = [['crm.item.list'], ['crm.item.list'], ['tasks.task.add', 'tasks.task.add', 'batch']];
    const events = ['ONCRMDEALADD', 'ONCRMDEALUPDATE'];
    expect(lineOf({ ...batch, events, count: 3, entities: ['CRMDEAL:82', 'CRMDEAL:83'], requests })).toBe(
      'ONCRMDEALADD, ONCRMDEALUPDATE CRMDEAL:82 and 2 more: done in 34 ms (3 requests: crm.item.list; batch of tasks.task.add)',
    );
  });

  it('names few methods of a batch, and few requests', () => {
    const methods = ['a', 'b', 'c', 'd', 'e'];
    expect(lineOf({ ...batch, requests: [[...methods, 'batch']] })).toContain(
      '(1 request: batch of a, b, c, d, …)',
    );
    expect(lineOf({ ...batch, requests: methods.map((method) => [method]) })).toContain(
      '(5 requests: a; b; c; d; …)',
    );
  });

  it.each([
    ['offline', 'ONCRMDEALADD CRMDEAL:82 from the offline queue: done'],
    ['reconcile', 'ONCRMDEALADD CRMDEAL:82 looked up after events were missed: done'],
  ] as const)('says that its events are not posted ones but of the source %s', (source, text) => {
    expect(lineOf({ ...batch, source })).toContain(text);
  });

  it.each([
    [1, '1 of 3 failed with ACCESS_DENIED after 34 ms'],
    [0, '3 of 3 failed with ACCESS_DENIED after 34 ms'],
  ])('says how many failed, where the handler returned %d', (failed, text) => {
    expect(lineOf({ ...batch, count: 3, failed, error: 'ACCESS_DENIED' })).toContain(text);
  });
});
