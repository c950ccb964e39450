import { describe, expect, it } from '@jest/globals';
import { Bitrix24Error, type Bitrix24ErrorDetails } from './errors.js';
import {
  idempotencyOf,
  isRetryable,
  type Idempotency,
  retryDelayMs,
  weakestIdempotency,
} from './retryability.js';

describe('the idempotency class of a method', () => {
  it.each([
    ['crm.item.list', 'read'],
    ['crm.item.get', 'read'],
    ['crm.item.fields', 'read'],
    ['CRM.Item.List', 'read'],
    ['tasks.task.getFields', 'read'],
    ['task.item.getlist', 'read'],
    ['app.info', 'read'],
    ['events', 'read'],
    ['event.get', 'read'],
    ['server.time', 'read'],
    ['event.offline.list', 'read'],
    ['crm.item.update', 'idempotent'],
    ['crm.item.delete', 'idempotent'],
    ['crm.deal.productrows.set', 'idempotent'],
    ['crm.item.add', 'other'],
    ['im.message.add', 'other'],
    ['event.bind', 'other'],
    ['event.offline.get', 'other'],
    ['crm.item.import', 'other'],
    ['crm.budget', 'other'],
    ['batch', 'other'],
    ['get', 'read'],
  ])('%s is %s', (method, kind) => expect(idempotencyOf(method)).toBe(kind));

  it('of several is the weakest of them', () => {
    expect(weakestIdempotency(['crm.item.list', 'user.get'])).toBe('read');
    expect(weakestIdempotency(['crm.item.list', 'crm.item.update'])).toBe('idempotent');
    expect(weakestIdempotency(['crm.item.add', 'crm.item.list', 'crm.item.update'])).toBe('other');
  });
});

const kinds: Idempotency[] = ['read', 'idempotent', 'other'];

/** The idempotency classes that may be retried after this error. */
function repeatable(code: string, details: Bitrix24ErrorDetails = {}): Idempotency[] {
  const error = new Bitrix24Error(code, details);
  return kinds.filter((kind) => isRetryable(error, kind));
}

describe('a retry', () => {
  it.each<[string, Bitrix24ErrorDetails, Idempotency[]]>([
    ['TRANSPORT', { delivered: 'no' }, ['read', 'idempotent', 'other']],
    ['TRANSPORT', { delivered: 'unknown' }, ['read', 'idempotent']],
    ['BAD_ANSWER', { httpStatus: 200 }, ['read', 'idempotent']],
    ['BAD_ANSWER', { httpStatus: 502 }, ['read', 'idempotent']],
    ['BAD_ANSWER', { delivered: 'yes' }, ['read', 'idempotent']],
    ['BAD_ANSWER', { httpStatus: 404 }, []],
    ['BAD_ANSWER', { httpStatus: 429 }, []],
    ['INTERNAL_SERVER_ERROR', { httpStatus: 500 }, ['read', 'idempotent']],
    ['ERROR_UNEXPECTED_ANSWER', { httpStatus: 500 }, ['read', 'idempotent']],
    ['SOMETHING_NEW', { httpStatus: 503 }, ['read', 'idempotent']],
    ['SOMETHING_NEW', { httpStatus: 400 }, []],
    ['TIMEOUT', { delivered: 'unknown' }, []],
    ['TIMEOUT', { delivered: 'no' }, []],
    ['TIMEOUT', { httpStatus: 504 }, []],
    ['EXPIRED_TOKEN', { httpStatus: 401 }, []],
    ['QUERY_LIMIT_EXCEEDED', { httpStatus: 503 }, []],
    ['OVERLOAD_LIMIT', { httpStatus: 503 }, []],
    ['PORTAL_DELETED', { httpStatus: 500 }, []],
    ['BAD_ADDRESS', {}, []],
    ['REDIRECT', { httpStatus: 302 }, []],
    ['NOT_FOUND', { httpStatus: 400 }, []],
  ])('after %s with %j is for %j', (code, details, allowed) => {
    expect(repeatable(code, details)).toEqual(allowed);
  });

  it('has exponential backoff with jitter', () => {
    expect([1, 2].map((repeat) => retryDelayMs(repeat, () => 0))).toEqual([150, 600]);
    expect([1, 2].map((repeat) => retryDelayMs(repeat, () => 0.999))).toEqual([450, 1799]);
  });
});
