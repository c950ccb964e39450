import { describe, expect, it } from '@jest/globals';
import { httpBody, type PhpValue } from '../test/http-build-query.js';
import { decodeForm } from './form.js';
import { isPage, parsePage } from './install.js';

/** Example of the documentation (settings/oauth/simple-way.md). */
const query = {
  DOMAIN: 'portal.bitrix24.com',
  PROTOCOL: 1,
  LANG: 'en',
  APP_SID: 'dd8cec11e347088fe87c44870a9f1dba',
};
const body = {
  AUTH_ID: 'ahodg4h37n89vo17gbkgq0x1l825nnb5',
  AUTH_EXPIRES: 3600,
  REFRESH_ID: '2lg086mxijlpvwh0h7r4nl19udm4try5',
  SERVER_ENDPOINT: 'https://oauth.bitrix.info/rest/',
  APPLICATION_TOKEN: 'ec1b2074a9d3f5c81b6e40d27a95cf38',
  APPLICATION_SCOPE: 'crm,entity,im,task',
  member_id: 'a223c6b3710f85df22e9377d6c4f7553',
  status: 'F',
  PLACEMENT: 'DEFAULT',
};

type Values = { [key: string]: PhpValue };
const form = (values: Values) => decodeForm(httpBody(values));
const parse = (values: Values, address: Values = query) => parsePage(form(values), form(address));

describe('parsePage', () => {
  it('parses the POST to a page of the application', () => {
    expect(isPage(form(body))).toBe(true);
    expect(parse(body)).toEqual({
      memberId: 'a223c6b3710f85df22e9377d6c4f7553',
      domain: 'portal.bitrix24.com',
      applicationToken: 'ec1b2074a9d3f5c81b6e40d27a95cf38',
      accessToken: 'ahodg4h37n89vo17gbkgq0x1l825nnb5',
      refreshToken: '2lg086mxijlpvwh0h7r4nl19udm4try5',
      oauthHost: 'oauth.bitrix.info',
    });
  });

  it.each([null, ''])('treats %j as no application token, because an older portal sends none', (none) => {
    expect(parse({ ...body, APPLICATION_TOKEN: none })).not.toHaveProperty('applicationToken');
  });

  it.each([
    ['an event', { event: 'ONAPPINSTALL', auth: { member_id: 'x' } }],
    ['the install callback', { auth: { member_id: 'x' } }],
    ['an event that pretends to be both', { ...body, event: 'ONAPPINSTALL' }],
    ['nothing', {}],
  ])('does not take %s for a page', (_what, values: Values) => {
    expect(isPage(form(values))).toBe(false);
  });

  it.each(['member_id', 'AUTH_ID', 'REFRESH_ID'])('requires %s', (key) => {
    for (const nothing of [null, '', ['x']]) {
      expect(() => parse({ ...body, [key]: nothing })).toThrow(
        expect.objectContaining({ code: 'missing-field', field: key }),
      );
    }
  });

  it('requires DOMAIN in the query, not in the body', () => {
    expect(() => parse({ ...body, DOMAIN: 'portal.bitrix24.com' }, {})).toThrow(
      expect.objectContaining({ code: 'missing-field', field: 'DOMAIN' }),
    );
  });

  it.each([
    ['member_id', '../x'],
    ['APPLICATION_TOKEN', 'two words'],
    ['AUTH_ID', 'line\nbreak'],
    ['REFRESH_ID', 'x'.repeat(2049)],
  ])('rejects a strange %s, and does not repeat it', (key, value) => {
    const rejected = () => parse({ ...body, [key]: value });
    expect(rejected).toThrow(expect.objectContaining({ code: 'malformed-field', field: key }));
    expect(rejected).toThrow(expect.not.objectContaining({ message: expect.stringContaining(value) }));
  });

  it('rejects a DOMAIN that is a URL', () => {
    expect(() => parse(body, { DOMAIN: 'evil.example/path' })).toThrow(
      expect.objectContaining({ code: 'malformed-field', field: 'DOMAIN' }),
    );
  });
});
