import { describe, expect, it } from '@jest/globals';
import { httpBody, type PhpValue } from '../test/http-build-query.js';
import { decodeForm } from './form.js';
import { parseEnvelope } from './event.js';
import { installOf, isUserReady, parseInstall } from './install.js';

const auth = {
  domain: 'some-domain.bitrix24.com',
  scope: 'crm',
  access_token: 'made-up-access-token',
  refresh_token: 'made-up-refresh-token',
  expires_in: 3600,
  server_endpoint: 'https://oauth.bitrix.info/rest/',
  status: 'F',
  client_endpoint: 'https://some-domain.bitrix24.com/rest/',
  member_id: 'a223c6b3710f85df22e9377d6c4f7553',
  application_token: 'made-up-application-token',
};

const parse = (form: { [key: string]: PhpValue }) => parseInstall(decodeForm(httpBody(form)));

describe('parseInstall', () => {
  it.each([
    ['ONAPPINSTALL', { event: 'ONAPPINSTALL', data: { VERSION: '1.0.0' }, ts: '1696527000', auth }],
    ['its name in another case', { event: 'onAppInstall', auth }],
    ['the callback, which is auth alone', { auth }],
  ])('reads %s', (_, form) => {
    expect(parse(form)).toEqual({
      memberId: 'a223c6b3710f85df22e9377d6c4f7553',
      domain: 'some-domain.bitrix24.com',
      applicationToken: 'made-up-application-token',
      accessToken: 'made-up-access-token',
      refreshToken: 'made-up-refresh-token',
      oauthHost: 'oauth.bitrix.info',
    });
  });

  it.each([['portal.example:8080'], ['портал.рф'], ['10.0.0.1']])('accepts the domain %s', (domain) => {
    expect(parse({ auth: { ...auth, domain } }).domain).toBe(domain);
  });

  it.each(['ONAPPINSTALL', 'onAppUpdate'])('parses %s from its envelope as from its form', (event) => {
    const form = decodeForm(httpBody({ event, data: { LANGUAGE_ID: 'tr' }, ts: '1696527000', auth }));
    expect(installOf(parseEnvelope(form), form)).toEqual(parseInstall(form));
  });

  it.each(['ONAPPPAYMENT', 'ONAPPINSTALL_147'])('rejects %s, also from its envelope', (event) => {
    const form = decodeForm(httpBody({ event, ts: '1696527000', auth }));
    const rejection = expect.objectContaining({ code: 'not-an-install', field: 'event' });
    expect(() => installOf(parseEnvelope(form), form)).toThrow(rejection);
    expect(() => parseInstall(form)).toThrow(rejection);
  });

  it('parses an update like an install', () => {
    const data = { LANGUAGE_ID: 'tr' };
    expect(parse({ event: 'ONAPPUPDATE', data, auth })).toEqual(parse({ event: 'ONAPPINSTALL', data, auth }));
  });

  it.each(['tr', 'la', 'TR', 'pt-BR', 'zh_Hans_CN'])('reads the language %s', (language) => {
    const form = { event: 'ONAPPINSTALL', data: { LANGUAGE_ID: language }, auth };
    expect(parse(form)).toHaveProperty('language', language);
  });

  it.each([null, '', ['tr'], 't', 'türkçe', 'tr\0', 'a'.repeat(100), `tr${'-ab'.repeat(100)}`])(
    'accepts an install with the language %j as one without a language',
    (language) => {
      const form = { event: 'ONAPPINSTALL', data: { LANGUAGE_ID: language }, auth };
      expect(parse(form)).toEqual({ ...parse({ auth }), language: undefined });
    },
  );

  it.each([
    null,
    '',
    ['x'],
    'oauth.bitrix.info',
    'not a URL',
    'mailto:a@b.example',
    `https://${'a.'.repeat(200)}example/`,
  ])('takes an install whose server_endpoint is %j, and the OAuth server for unsaid', (address) => {
    expect(parse({ auth: { ...auth, server_endpoint: address } })).toEqual({
      ...parse({ auth }),
      oauthHost: undefined,
    });
  });

  it.each([
    ['ONAPPUSERREADY', true],
    ['onAppUserReady', true],
    ['ONAPPINSTALL', false],
    [['ONAPPUSERREADY'], false],
  ])('tells an install from the news of a system user: %j', (event, expected) => {
    expect(isUserReady(decodeForm(httpBody({ event, auth })))).toBe(expected);
  });

  it.each(['ONAPPUNINSTALL', '', ['ONAPPINSTALL']])('rejects the event %j', (event) => {
    expect(() => parse({ event, auth })).toThrow(
      expect.objectContaining({ code: 'not-an-install', field: 'event' }),
    );
  });

  it.each(['member_id', 'domain', 'application_token', 'access_token', 'refresh_token'])(
    'requires %s',
    (key) => {
      for (const nothing of [null, '', ['x']]) {
        expect(() => parse({ auth: { ...auth, [key]: nothing } })).toThrow(
          expect.objectContaining({ code: 'missing-field', field: `auth[${key}]` }),
        );
      }
    },
  );

  it.each([
    ['member_id', '../x'],
    ['domain', 'evil.example/path'],
    ['domain', 'user@evil.example'],
    ['domain', 'a'.repeat(256)],
    ['application_token', 'two words'],
    ['access_token', 'line\nbreak'],
    ['refresh_token', 'x'.repeat(2049)],
    ['application_token', 'x'.repeat(256)],
  ])('rejects a strange %s, and does not repeat it', (key, value) => {
    const rejected = () => parse({ auth: { ...auth, [key]: value } });
    expect(rejected).toThrow(expect.objectContaining({ code: 'malformed-field', field: `auth[${key}]` }));
    expect(rejected).toThrow(expect.not.objectContaining({ message: expect.stringContaining(value) }));
  });

  it('requires auth', () => {
    expect(() => parse({})).toThrow(
      expect.objectContaining({ code: 'missing-field', field: 'auth[member_id]' }),
    );
  });
});
