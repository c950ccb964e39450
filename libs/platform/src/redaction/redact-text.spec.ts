import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { redactText } from './redact-text.js';

describe('a text', () => {
  it.each([
    // Bitrix24's POST bodies: raw, decoded, and encoded once more in a query.
    [
      'event=ONCRMCONTACTUPDATE&auth%5Baccess_token%5D=s3cr3t&auth%5Bdomain%5D=demo.bitrix24.com',
      'event=ONCRMCONTACTUPDATE&auth%5Baccess_token%5D=[redacted]&auth%5Bdomain%5D=demo.bitrix24.com',
    ],
    ['auth[refresh_token]=s3cr3t&auth[user_id]=1', 'auth[refresh_token]=[redacted]&auth[user_id]=1'],
    [
      'body=auth%255Bapplication_token%255D%3Ds3cr3t%26ts%3D1&x=2',
      'body=auth%255Bapplication_token%255D%3D[redacted]%26ts%3D1&x=2',
    ],
    ['data[TOKEN]=s3cr3t&data[ID]=82', 'data[TOKEN]=[redacted]&data[ID]=82'],
    ['data%5BBOT%5D%5B571%5D%5BAUTH%5D=s3cr3t', 'data%5BBOT%5D%5B571%5D%5BAUTH%5D=[redacted]'],
    [
      'AUTH_ID=s3cr3t&AUTH_EXPIRES=3600&REFRESH_ID=s3cr3t&APPLICATION_TOKEN=s3cr3t&member_id=m1',
      'AUTH_ID=[redacted]&AUTH_EXPIRES=3600&REFRESH_ID=[redacted]&APPLICATION_TOKEN=[redacted]&member_id=m1',
    ],
    ['auth%5Baccess_token%5D=s3%26cr%3D3t&x=1', 'auth%5Baccess_token%5D=[redacted]&x=1'],
    // Queries.
    [
      'GET https://oauth.bitrix.info/oauth/token/?grant_type=refresh_token&client_id=app.1&client_secret=s3cr3t&refresh_token=s3cr3t',
      'GET https://oauth.bitrix.info/oauth/token/?grant_type=refresh_token&client_id=app.1&client_secret=[redacted]&refresh_token=[redacted]',
    ],
    ['/oauth/token/?client_id=app.1&code=s3cr3t&x=1', '/oauth/token/?client_id=app.1&code=[redacted]&x=1'],
    ['code=s3cr3t&grant_type=authorization_code', 'code=[redacted]&grant_type=authorization_code'],
    ['/rest/profile?auth=s3cr3t#top next', '/rest/profile?auth=[redacted] next'],
    // Addresses.
    [
      'POST https://demo.bitrix24.com/rest/1/s3cr3t/profile',
      'POST https://demo.bitrix24.com/rest/1/[redacted]/profile',
    ],
    [
      'https://demo.bitrix24.com/rest//1//s3cr3t//batch?x=1',
      'https://demo.bitrix24.com/rest//1//[redacted]//batch?x=1',
    ],
    [
      String.raw`https:\/\/demo.bitrix24.com\/rest\/1\/s3cr3t\/`,
      String.raw`https:\/\/demo.bitrix24.com\/rest\/1\/[redacted]\/`,
    ],
    [
      'url=https%3A%2F%2Fdemo.bitrix24.com%2Frest%2F1%2Fs3cr3t%2F&x=1',
      'url=https%3A%2F%2Fdemo.bitrix24.com%2Frest%2F1%2F[redacted]%2F&x=1',
    ],
    ['connect amqp://relay:s3cr3t@broker:5672/v', 'connect amqp://[redacted]@broker:5672/v'],
    ['amqp://relay:S/3?c#r@3t@broker:5672/v', 'amqp://[redacted]@broker:5672/v'],
    ['amqp://relay:s3%5Cncr3t@broker:5672/v', 'amqp://[redacted]@broker:5672/v'],
    ['postgres://relay:s%403cr3t@db:5432/relay', 'postgres://[redacted]@db:5432/relay'],
    ['https://user:s3cr3t@demo.bitrix24.com/a@b', 'https://[redacted]@demo.bitrix24.com/a@b'],
    ['at=amqp%3A%2F%2Frelay%3As3cr3t%40broker%3A5672', 'at=amqp%3A%2F%2F[redacted]%40broker%3A5672'],
    // JSON, also within JSON, also truncated.
    ['{"access_token":"s3cr3t","expires":3600}', '{"access_token":"[redacted]","expires":3600}'],
    ['{ "clientSecret" : "s3\\"cr3t" }', '{ "clientSecret" : "[redacted]" }'],
    [
      String.raw`{"body":"{\"refresh_token\":\"s3\\\"cr3t\",\"domain\":\"d\"}"}`,
      String.raw`{"body":"{\"refresh_token\":\"[redacted]\",\"domain\":\"d\"}"}`,
    ],
    [
      String.raw`{"a":"{\"b\":\"{\\\"token\\\":\\\"s3cr3t\\\",\\\"n\\\":1}\"}"}`,
      String.raw`{"a":"{\"b\":\"{\\\"token\\\":\\\"[redacted]\\\",\\\"n\\\":1}\"}"}`,
    ],
    [
      String.raw`{\u0022access_token\u0022:\u0022s3cr3t\u0022}`,
      String.raw`{\u0022access_token\u0022:\u0022[redacted]\u0022}`,
    ],
    ['q=%7B%22password%22%3A%22s3%5C%22cr3t%22%7D&x=1', 'q=%7B%22password%22%3A%22[redacted]%22%7D&x=1'],
    ['{"member_id":"m1","refresh_token":"s3cr3', '{"member_id":"m1","refresh_token":"[redacted]'],
    ['{"tokens":["s3cr3t","s3cr3t"],"n":1}', '{"tokens":[[redacted]],"n":1}'],
    ["{ accessToken: 's3cr3t', expires: 3600 }", "{ accessToken: '[redacted]', expires: 3600 }"],
    // Headers and settings.
    ['authorization: Bearer s3cr3t', 'authorization: Bearer [redacted]'],
    ['Authorization: Basic dXNlcjpzM2NyM3Q= then', 'Authorization: Basic [redacted] then'],
    [
      "curl -H 'Authorization: Bearer s3cr3t' http://x",
      "curl -H 'Authorization: Bearer [redacted]' http://x",
    ],
    ['answered Bearer s3cr3t-s3cr3t', 'answered Bearer [redacted]'],
    ['Cookie: a=s3cr3t; b=s3cr3t\r\nHost: x', 'Cookie: [redacted]\r\nHost: x'],
    ['set-cookie: PHPSESSID=s3cr3t; path=/', 'set-cookie: [redacted]'],
    ['OPS_TOKEN=s3cr3t LOG_LEVEL=info', 'OPS_TOKEN=[redacted] LOG_LEVEL=info'],
    [
      'TOKEN_KEYS=k2:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=,k1:b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0=',
      'TOKEN_KEYS=[redacted],k1:[redacted]',
    ],
    ['password=s3,cr3t, user=relay', 'password=[redacted], user=relay'],
    // By shape only.
    ['got 8f14e45fceea167a5a36dedd4bea2543f14e45fceea1 of it', 'got [redacted] of it'],
    [
      `Unexpected token 'n', ..."en": "s3cr3t" }"... is not valid JSON`,
      `Unexpected token 'n', ..."[redacted]"... is not valid JSON`,
    ],
  ])('loses its secrets and nothing else: %s', (text, expected) => {
    expect(redactText(text)).toBe(expected);
    expect(redactText(expected)).toBe(expected);
  });

  it.each([
    'event=ONCRMCONTACTUPDATE&data%5BFIELDS%5D%5BID%5D=82&ts=1724697689&auth%5Bmember_id%5D=d897063e1ce7c5eb9f04b9751eef5915',
    '{"error":"QUERY_LIMIT_EXCEEDED","code":404,"domain":"demo.bitrix24.com","time":{"operating":0.32,"operating_reset_at":1705765533}}',
    'expired_token from crm.item.list (HTTP 401)',
    "Element '82' is not found (code 404): the token of the parser was unexpected",
    'the OAuth server did not confirm an install; basic authentication is off',
    'code=ECONNREFUSED, while connecting to https://demo.bitrix24.com/rest/crm.item.list?start=50',
    'Error: no\n    at Object.renewToken (file:///srv/node_modules/@nestjs/core/auth/token.js:10:5)',
    'SELECT "access_token" FROM credentials WHERE refresh_token = $1 AND "member_id" = $2',
    '{"auth":{"domain":"demo.bitrix24.com","expires_in":3600,"user_id":"1"},"tokens":null,"token":{}}',
    'amqp://broker:5672/virtual%40host',
    'trace 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, id 6f1c1f0a-7a1d-4c53-9c7e-7f6f0e3c1b2a',
    'Jürgen O’Neil <jurgen@example.com> 100 % at 10:30, C:\\new\\table',
  ])('without secrets stays as it is: %s', (text) => {
    expect(redactText(text)).toBe(text);
  });

  it('only loses parts, for any text', () => {
    const part = fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.constantFrom(
        'token',
        'auth',
        'code',
        '=',
        ':',
        '"',
        '\\',
        '\\"',
        '%22',
        '%5C',
        '%25',
        '&',
        '[',
        ']',
      ),
      fc.constantFrom(
        '//',
        '@',
        'amqp:',
        'rest/1/',
        'Bearer ',
        'cookie',
        ',',
        ' ',
        '\n',
        "'",
        '\\u0026',
        '{',
      ),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const text = parts.join('');
        let at = 0;
        for (const kept of redactText(text).split('[redacted]')) {
          const begin = text.indexOf(kept, at);
          expect(begin).toBeGreaterThanOrEqual(at);
          at = begin + kept.length;
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['token='],
    ['token="'],
    ['"token":[\\"'],
    ['auth%5B'],
    ['%25'],
    ['\\'],
    ['\\"token\\":\\"'],
    ['amqp://a:'],
    ['//a'],
    ['/rest/1/'],
    ['/rest////'],
    ['Bearer '],
    [' '],
    ['a'],
    ['token    '],
    ['cookie: a;\n'],
    ['token=a,b'],
    ["token='a"],
    ['?code='],
    ['token=,;'],
    ['cookie" ,'],
    ['tokens[0]'],
    ['a1'],
    ['aB3+'],
    ["Unexpected token 'a', \""],
  ])('takes time in proportion to its length: %s, over and over', (unit) => {
    // Four times the length; quadratic growth would be 16 times, and that each time.
    const growths = [growth(unit)];
    while (growths.length < 3 && Math.min(...growths) >= 10) growths.push(growth(unit));
    expect(Math.min(...growths)).toBeLessThan(10);
  });
});

/** Of the time, where the text is four times as long. */
function growth(unit: string): number {
  const [short = 0, long = 0] = [80_000, 320_000].map((length) =>
    cpuMs(`@ ${unit.repeat(Math.ceil(length / unit.length))}`),
  );
  return long / short;
}

/** The cheapest of several runs in CPU time of this process, so that other load on the machine matters little. */
function cpuMs(text: string): number {
  const costs = [1, 2, 3, 4].map(() => {
    const begin = process.cpuUsage();
    redactText(text);
    const { user, system } = process.cpuUsage(begin);
    return (user + system) / 1_000;
  });
  return Math.max(Math.min(...costs), 0.2);
}
