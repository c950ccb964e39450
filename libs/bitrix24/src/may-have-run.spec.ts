import { describe, expect, it } from '@jest/globals';
import { mayHaveRun } from './may-have-run.js';
import { OAuthError } from './oauth/oauth-server.js';
import { CLASS_OF_CODE } from './rest/classify.js';
import { Bitrix24Error, type Bitrix24ErrorDetails } from './rest/errors.js';

const METHOD = 'tasks.task.add';

describe('a write that failed', () => {
  it.each<[string, Bitrix24ErrorDetails]>([
    ['TRANSPORT', { delivered: 'unknown' }],
    ['TIMEOUT', { delivered: 'unknown' }],
    ['TIMEOUT', { httpStatus: 504 }],
    ['BAD_ANSWER', { httpStatus: 200, detail: 'html' }],
    ['BAD_ANSWER', { httpStatus: 200, detail: 'cut' }],
    ['BAD_ANSWER', { httpStatus: 200, detail: 'too-long' }],
    ['BAD_ANSWER', { httpStatus: 200, detail: 'no-room' }],
    ['BAD_ANSWER', { httpStatus: 403, detail: 'html' }],
    ['BAD_ANSWER', { httpStatus: 502, detail: 'html' }],
    ['BAD_ANSWER', { delivered: 'yes', detail: 'wrong-shape' }],
    ['BAD_ANSWER', {}],
    ['INTERNAL_SERVER_ERROR', { httpStatus: 500 }],
    ['INTERNAL_SERVER_ERROR', { delivered: 'yes' }],
    ['ERROR_UNEXPECTED_ANSWER', { httpStatus: 500 }],
    ['SOMETHING_NEW', { httpStatus: 503 }],
    ['SOMETHING_NEW', { httpStatus: 408 }],
    ['SOMETHING_NEW', {}],
  ])('may have run: %s %j', (code, details) => {
    expect(mayHaveRun(new Bitrix24Error(code, { ...details, method: METHOD }))).toBe(true);
  });

  it.each<[string, Bitrix24ErrorDetails]>([
    ['TRANSPORT', { delivered: 'no' }],
    ['TIMEOUT', { delivered: 'no' }],
    ['NOT_RUN', {}],
    ['BAD_ADDRESS', {}],
    ['OPERATION_TIME_LIMIT', { delivered: 'no' }],
    ['OPERATION_TIME_LIMIT', { httpStatus: 429 }],
    ['REDIRECT', { httpStatus: 302 }],
    ['BAD_ANSWER', { httpStatus: 413, detail: 'html' }],
    ['BAD_ANSWER', { httpStatus: 429, detail: 'html' }],
    ['ACCESS_DENIED', { httpStatus: 403 }],
    ['ACCESS_DENIED', { httpStatus: 401, errorClass: 'transient' }],
    ['EXPIRED_TOKEN', { httpStatus: 401 }],
    ['QUERY_LIMIT_EXCEEDED', { httpStatus: 503 }],
    ['PORTAL_DELETED', { httpStatus: 500 }],
    ['ERROR_BATCH_LENGTH_EXCEEDED', { httpStatus: 400 }],
    ['SOMETHING_NEW', { httpStatus: 400 }],
    ['SOMETHING_NEW', { httpStatus: 429 }],
    ['SOMETHING_NEW', { delivered: 'yes' }],
  ])('has not run: %s %j', (code, details) => {
    expect(mayHaveRun(new Bitrix24Error(code, { ...details, method: METHOD }))).toBe(false);
  });

  it('has not run where nothing was sent, whatever the error, nor where no token was got', () => {
    for (const code of CLASS_OF_CODE.keys())
      expect([code, mayHaveRun(new Bitrix24Error(code, { delivered: 'no' }))]).toEqual([code, false]);
    expect(mayHaveRun(new OAuthError('TRANSPORT', 'unavailable', true))).toBe(false);
  });

  it('has run only after a transient error among those that a portal gives for any method', () => {
    for (const [code, errorClass] of CLASS_OF_CODE) {
      const error = new Bitrix24Error(code, { httpStatus: 400, delivered: 'yes' });
      expect([code, mayHaveRun(error)]).toEqual([code, errorClass === 'transient']);
    }
  });

  it('may have run after an error that is not the client’s own', () => {
    for (const error of [new Error('the rate limiter'), new DOMException('stopped', 'AbortError'), undefined])
      expect(mayHaveRun(error)).toBe(true);
  });
});
