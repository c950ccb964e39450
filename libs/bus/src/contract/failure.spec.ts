import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { redact, toFailure } from './failure.js';

describe('a failure as it is stored', () => {
  it('has the code of the error, else its name', () => {
    expect(toFailure(Object.assign(new Error('no'), { code: 'ACCESS_DENIED' }))).toEqual({
      code: 'ACCESS_DENIED',
      message: 'no',
    });
    expect(toFailure(new TypeError('x is not a function')).code).toBe('TypeError');
    expect(toFailure('just a text')).toEqual({ code: 'UNKNOWN', message: 'just a text' });
    expect(toFailure(undefined).code).toBe('UNKNOWN');
    expect(toFailure([{ toString: false }])).toEqual({ code: 'UNKNOWN', message: '[object Array]' });
  });

  it.each([
    [
      'the path of a webhook',
      'POST https://demo.bitrix24.com/rest/1/xq4hd8wl2m5n/crm.item.list',
      'xq4hd8wl2m5n',
    ],
    [
      'the same with doubled slashes',
      'https://demo.bitrix24.com/rest//1//xq4hd8wl2m5n/profile',
      'xq4hd8wl2m5n',
    ],
    ['a password before a host', 'connect amqp://user:pa55word@broker:5672/v', 'pa55word'],
    ['a token in a query', 'GET /rest/profile?auth=s3cr3t&x=1', 's3cr3t'],
    ['a token in JSON', '{"refresh_token":"s3cr3t","x":1}', 's3cr3t'],
    ['a client secret in a form', 'client_secret=s3cr3t&grant_type=refresh_token', 's3cr3t'],
    ['a token in a form, as it came', 'auth%5Baccess_token%5D=s3cr3t&ts=1', 's3cr3t'],
    ['a token in JSON within JSON', String.raw`{"body":"{\"access_token\":\"s3cr3t\"}"}`, 's3cr3t'],
    ['an authorization header', 'authorization: Bearer s3cr3t', 's3cr3t'],
    ['an authorization code', 'https://oauth.bitrix.info/oauth/token/?code=s3cr3t', 's3cr3t'],
    [
      'anything long and random',
      'got 0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d',
      '0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d',
    ],
  ])('does not hold %s', (_what, message, secret) => {
    expect(message).toContain(secret);
    expect(toFailure(new Error(message)).message).not.toContain(secret);
  });

  it('does not keep a secret in the place of a code', () => {
    const error = Object.assign(new Error('no'), { code: 'client_secret=s3cr3t' });
    expect(toFailure(error).code).toBe('client_secret=[redacted]');
  });

  it('leaves an ordinary message unchanged', () => {
    const message = "Element '82' is not found (code 404): the token of the parser was unexpected";
    expect(redact(message)).toBe(message);
    expect(redact('UNABLE_TO_GET_ISSUER_CERT_LOCALLY')).toBe('UNABLE_TO_GET_ISSUER_CERT_LOCALLY');
  });

  it('steers nothing that shows it: a portal may answer with any code', () => {
    const error = Object.assign(new Error('no\u202E\u001b[2J'), { code: 'ACCESS\u0000\u2066' });
    expect(toFailure(error)).toEqual({ code: 'ACCESS\uFFFD\uFFFD', message: 'no\uFFFD\uFFFD[2J' });
  });

  it('is one short line, whatever was thrown', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 5_000 }), fc.anything()), (thrown) => {
        const { message } = toFailure(thrown);
        expect(message.length).toBeLessThanOrEqual(500);
        expect(message).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
});
