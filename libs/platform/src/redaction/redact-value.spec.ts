import { describe, expect, it } from '@jest/globals';
import { Headers as UndiciHeaders } from 'undici';
import { describeError, redactValue } from './redact-value.js';

describe('a value', () => {
  it('loses values with the name of a secret, in any spelling', () => {
    expect(
      redactValue([
        { accessToken: 's3cr3t', REFRESH_TOKEN: 's3cr3t', 'application-token': 's3cr3t', AUTH_ID: 's3cr3t' },
        { 'auth[access_token]': 's3cr3t', 'auth%5Brefresh_token%5D': 's3cr3t', 'tokens[0]': 's3cr3t' },
        {
          clientSecret: 's3cr3t',
          TOKEN_KEYS: 's3cr3t',
          opsToken: ['s3cr3t', { any: 's3cr3t' }],
          password: 53_273,
        },
      ]),
    ).toEqual([
      {
        accessToken: '[redacted]',
        REFRESH_TOKEN: '[redacted]',
        'application-token': '[redacted]',
        AUTH_ID: '[redacted]',
      },
      {
        'auth[access_token]': '[redacted]',
        'auth%5Brefresh_token%5D': '[redacted]',
        'tokens[0]': '[redacted]',
      },
      {
        clientSecret: '[redacted]',
        TOKEN_KEYS: '[redacted]',
        opsToken: ['[redacted]', { any: '[redacted]' }],
        password: '[redacted]',
      },
    ]);
  });

  it('keeps the public fields beside the tokens of an event', () => {
    const auth = {
      domain: 'demo.bitrix24.com',
      member_id: 'm1',
      user_id: 1,
      expires_in: '3600',
      status: 'L',
    };
    expect(redactValue({ auth: { ...auth, access_token: 's3cr3t', other: 's3cr3t' } })).toEqual({
      auth: { ...auth, access_token: '[redacted]', other: '[redacted]' },
    });
  });

  it('keeps everything that is not a secret', () => {
    const value = {
      memberId: 'd897063e1ce7c5eb9f04b9751eef5915',
      code: 'NOT_FOUND',
      time: { operating: 0.32, operating_reset_at: 1_705_765_533 },
      hasToken: true,
      tokens: 3,
      token: null,
      author: 'Ada',
      needsReauth: true,
      names: ['token', 'member_id'],
      at: '2026-11-22T08:30:00.000Z',
    };
    expect(redactValue(value)).toEqual(value);
  });

  it('shows values that JSON omits', () => {
    const headers = { authorization: 'Bearer s3cr3t', accept: 'text/html' };
    const shown = { authorization: '[redacted]', accept: 'text/html' };
    const own = Object.assign(Object.create(null), { a: 1n });
    expect(
      redactValue({
        map: new Map<string, unknown>([
          ['access_token', 's3cr3t'],
          ['ID', 82],
        ]),
        set: new Set(['auth=s3cr3t']),
        headers: new Headers(headers),
        undici: new UndiciHeaders(headers),
        rawHeaders: ['Cookie', 'a=s3cr3t', 'Host', 'x'],
        query: new URLSearchParams({ ID: '82', auth: 's3cr3t', code: 's3cr3t' }),
        url: new URL('https://user:s3cr3t@demo.bitrix24.com/rest/1/s3cr3t/profile?auth=s3cr3t'),
        bytes: Buffer.from('s3cr3t'),
        parsedBytes: Buffer.from('s3cr3t').toJSON(),
        date: new Date(0),
        own,
        none: undefined,
        call: () => 's3cr3t',
      }),
    ).toEqual({
      map: { access_token: '[redacted]', ID: 82 },
      set: ['auth=[redacted]'],
      headers: shown,
      undici: shown,
      rawHeaders: ['Cookie', '[redacted]', 'Host', 'x'],
      query: 'ID=82&auth=[redacted]&code=[redacted]',
      url: 'https://[redacted]@demo.bitrix24.com/rest/1/[redacted]/profile?auth=[redacted]',
      bytes: '[6 bytes]',
      parsedBytes: '[6 bytes]',
      date: '1970-01-01T00:00:00.000Z',
      own: { a: '1' },
    });
  });

  it('loses a secret that is a property name', () => {
    expect(redactValue({ 'https://demo.bitrix24.com/rest/1/s3cr3t/': 1 })).toEqual({
      'https://demo.bitrix24.com/rest/1/[redacted]/': 1,
    });
  });

  it('is bounded, for any value', () => {
    const circle: Record<string, unknown> = { name: 'circle' };
    circle['self'] = circle;
    const thrower = {
      get token(): string {
        throw new Error('s3cr3t');
      },
    };
    const endless: object = { toJSON: () => endless };
    let deep: unknown = 's3cr3t';
    for (let level = 0; level < 10_000; level += 1) deep = [deep];
    expect(redactValue({ circle, thrower, endless })).toEqual({
      circle: { name: 'circle', self: '[circular]' },
      thrower: '[unreadable]',
      endless: '[circular]',
    });
    expect(JSON.stringify(redactValue(deep))).toBe('[[[[[[[["[more]"]]]]]]]]');
    const many = redactValue(Array.from({ length: 1_000 }, (_, at) => at));
    expect(many).toHaveLength(101);
    const wide = Array.from({ length: 90 }, () => Array.from({ length: 90 }, () => ({ a: 1 })));
    expect(JSON.stringify(redactValue(wide)).length).toBeLessThan(200_000);
  });
});

describe('an error', () => {
  it('shows the standard fields, its causes and its parts', () => {
    const cause = Object.assign(new Error('connect amqp://relay:s3cr3t@broker'), { code: 'ECONNREFUSED' });
    const parts = new AggregateError([new TypeError('auth=s3cr3t'), 'text'], 'all failed', { cause });
    expect(describeError(parts)).toMatchObject({
      type: 'AggregateError',
      message: 'all failed',
      stack: expect.stringContaining('redact-value.spec'),
      cause: { message: 'connect amqp://[redacted]@broker', code: 'ECONNREFUSED' },
      errors: [{ type: 'TypeError', message: 'auth=[redacted]' }, { message: 'text' }],
    });
  });

  it('is shown the same at any depth', () => {
    expect(redactValue({ failure: new Error('auth=s3cr3t') })).toMatchObject({
      failure: { type: 'Error', message: 'auth=[redacted]' },
    });
  });

  it('may be its own cause', () => {
    const error = new Error('outer');
    error.cause = error;
    expect(describeError(error)).toMatchObject({ cause: { message: '[circular]' } });
  });

  it.each([[undefined], [null], [{ token: 's3cr3t' }], [Symbol('s3cr3t')], ['auth=s3cr3t']])(
    'has a message, also when the thrown value is no error: %p',
    (thrown) => {
      expect(describeError(thrown)).toEqual({ message: expect.not.stringContaining('s3cr3t') });
    },
  );
});
