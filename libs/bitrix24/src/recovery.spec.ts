import { describe, expect, it } from '@jest/globals';
import { readCode } from './errors.js';
import { recoveryOf } from './recovery.js';

describe('the recovery of an error', () => {
  it.each([
    ['QUERY_LIMIT_EXCEEDED', 503, 'wait'],
    ['OPERATION_TIME_LIMIT', 429, 'wait'],
    ['OVERLOAD_LIMIT', 503, 'wait'],
    ['expired_token', 401, 'retry'],
    ['invalid_token', 401, 'reauthorize'],
    ['NO_AUTH_FOUND', 401, 'reauthorize'],
    ['INVALID_CREDENTIALS', 403, 'reauthorize'],
    ['user_access_error', 403, 'reauthorize'],
    ['insufficient_scope', 403, 'never'],
    ['ACCESS_DENIED', 403, 'never'],
    ['INTERNAL_SERVER_ERROR', 500, 'retry'],
    ['ERROR_UNEXPECTED_ANSWER', 500, 'retry'],
    ['PORTAL_DELETED', 500, 'wait'],
    ['PAYMENT_REQUIRED', 402, 'wait'],
    ['PORTAL_SUSPENDED', undefined, 'wait'],
    ['NOT_FOUND', 400, 'never'],
    ['ERROR_BATCH_LENGTH_EXCEEDED', 400, 'never'],
    ['ERROR_BATCH_METHOD_NOT_ALLOWED', 405, 'never'],
    ['TRANSPORT', undefined, 'retry'],
    ['TIMEOUT', undefined, 'retry'],
    ['REDIRECT', 302, 'reauthorize'],
    ['BAD_ADDRESS', undefined, 'wait'],
    ['NOT_RUN', undefined, 'retry'],
    ['NOT_INSTALLED', undefined, 'never'],
    ['BAD_ANSWER', 200, 'retry'],
    ['BAD_ANSWER', 404, 'never'],
    ['BAD_ANSWER', 502, 'retry'],
  ] as const)('of %s with status %s is %s', (code, httpStatus, recovery) => {
    expect(recoveryOf(code, httpStatus)).toBe(recovery);
  });

  it('does not depend on how a code is spelled', () => {
    for (const code of ['query_limit_exceeded', 'Query_Limit_Exceeded'])
      expect(recoveryOf(code)).toBe('wait');
  });

  it('of an unknown code follows the status', () => {
    expect(recoveryOf('SOMETHING_NEW', 500)).toBe('retry');
    expect(recoveryOf('SOMETHING_NEW', 503)).toBe('retry');
    expect(recoveryOf('SOMETHING_NEW', 408)).toBe('retry');
    expect(recoveryOf('SOMETHING_NEW', 429)).toBe('wait');
    expect(recoveryOf('SOMETHING_NEW', 400)).toBe('never');
    expect(recoveryOf('SOMETHING_NEW', 200)).toBe('never');
    expect(recoveryOf('SOMETHING_NEW')).toBe('never');
  });
});

describe('a code that a portal sent', () => {
  it('is shown in upper case', () => {
    expect(readCode('expired_token', [])).toBe('EXPIRED_TOKEN');
    expect(readCode('200040300010', [])).toBe('200040300010');
  });

  it('is not shown when it looks like a token, though nobody knows it for one', () => {
    for (const sent of ['k4e1xw9kzsebuq1i', 'BAD_5d2a1b3c4e5f60718293', 'eyJhbGciOiJIUzI1NiJ9.e30.x']) {
      expect(readCode(sent, [])).toBe('UNNAMED_ERROR');
    }
  });

  it('is not shown when it is none, or holds a secret', () => {
    for (const sent of ['', ' ', 'Access denied!', '<html>', 'x'.repeat(81), 'BAD_S3CRET']) {
      expect(readCode(sent, ['s3cret'])).toBe('UNNAMED_ERROR');
    }
  });
});
