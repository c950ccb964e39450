import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { httpBody, type PhpValue } from '../test/http-build-query.js';
import { parseEvent } from '../test/parse-event.js';
import { thrownBy } from '../test/thrown.js';
import { EventError } from './event-error.js';
import { parseEnvelope } from './event.js';
import { decodeForm } from './form.js';

const RECEIVED_AT = 1_766_047_125_250;

const auth = {
  access_token: 'made-up-access-token',
  refresh_token: 'made-up-refresh-token',
  expires: '1766050724',
  expires_in: '3600',
  scope: 'crm',
  domain: 'some-domain.bitrix24.com',
  server_endpoint: 'https://oauth.bitrix.info/rest/',
  status: 'L',
  client_endpoint: 'https://some-domain.bitrix24.com/rest/',
  member_id: 'd897063e1ce7c5eb9f04b9751eef5915',
  user_id: '1',
  application_token: 'made-up-application-token',
};

const body = {
  event: 'ONCRMCONTACTUPDATE',
  event_handler_id: '185',
  data: { FIELDS: { ID: '82' } },
  ts: '1766047124',
  auth,
};

const parse = (form: { [key: string]: PhpValue }) => parseEvent(decodeForm(httpBody(form)), RECEIVED_AT);

const withToken = (length: number) =>
  decodeForm(httpBody({ ...body, auth: { ...auth, application_token: 'x'.repeat(length) } }));

describe('the envelope of an event', () => {
  it('accepts an application token of 255 letters, and no longer one', () => {
    expect(parseEnvelope(withToken(255)).credentials.applicationToken).toHaveLength(255);
    expect(() => parseEnvelope(withToken(256))).toThrow(
      expect.objectContaining({ code: 'malformed-field', field: 'auth[application_token]' }),
    );
  });

  it('accepts access and refresh tokens of any length', () => {
    const long = 'x'.repeat(10_000);
    const form = decodeForm(
      httpBody({ ...body, auth: { ...body.auth, access_token: long, refresh_token: long } }),
    );
    expect(parseEnvelope(form).credentials).toMatchObject({ accessToken: long, refreshToken: long });
  });
});

describe('parseEvent', () => {
  it('reads the envelope', () => {
    expect(parse(body)).toEqual({
      event: {
        id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
        memberId: 'd897063e1ce7c5eb9f04b9751eef5915',
        name: 'ONCRMCONTACTUPDATE',
        entityTypeId: 0,
        entityId: '82',
        entity: 'CRMCONTACT:82',
        data: { FIELDS: { ID: '82' } },
        ts: 1766047124,
        receivedAt: RECEIVED_AT,
      },
      credentials: {
        applicationToken: 'made-up-application-token',
        domain: 'some-domain.bitrix24.com',
        oauthHost: 'oauth.bitrix.info',
        accessToken: 'made-up-access-token',
        refreshToken: 'made-up-refresh-token',
      },
    });
  });

  it.each([
    ['1', '1'],
    [12, '12'],
    [null, undefined],
    ['', undefined],
    ['a b', undefined],
    ['1'.repeat(65), undefined],
    [['1'], undefined],
  ])('keeps the eventId %j as %j', (sent, eventId) => {
    expect(parse({ ...body, eventId: sent }).event.eventId).toBe(eventId);
  });

  it('gives each of two equal bodies its own id', () => {
    expect(parse(body).event.id).not.toBe(parse(body).event.id);
  });

  it('has no tokens if the form has none', () => {
    const { domain, member_id, application_token } = auth;
    const { credentials } = parse({ ...body, auth: { domain, member_id, application_token } });
    expect(credentials).toEqual({ applicationToken: application_token, domain });
  });

  it('has an empty application token if the form has none, which the gateway rejects', () => {
    const { credentials } = parse({ ...body, auth: { member_id: auth.member_id } });
    expect(credentials.applicationToken).toBe('');
  });

  it.each([
    ['no event', { event: null }, 'missing-field', 'event'],
    ['an empty event', { event: '' }, 'missing-field', 'event'],
    ['two events', { event: ['A', 'B'] }, 'missing-field', 'event'],
    ['an event with a wildcard', { event: 'ON.#' }, 'malformed-field', 'event'],
    ['no auth', { auth: null }, 'missing-field', 'auth[member_id]'],
    ['a text for auth', { auth: 'x' }, 'missing-field', 'auth[member_id]'],
    ['no member_id', { auth: { ...auth, member_id: null } }, 'missing-field', 'auth[member_id]'],
    ['a member_id with a dot', { auth: { ...auth, member_id: 'a.b' } }, 'malformed-field', 'auth[member_id]'],
    [
      'a long member_id',
      { auth: { ...auth, member_id: 'a'.repeat(65) } },
      'malformed-field',
      'auth[member_id]',
    ],
    ['a ts in words', { ts: 'yesterday' }, 'malformed-field', 'ts'],
    ['a ts below zero', { ts: '-1' }, 'malformed-field', 'ts'],
    ['an array for ts', { ts: ['1'] }, 'malformed-field', 'ts'],
  ])('rejects %s', (_, change, code, field) => {
    expect(() => parse({ ...body, ...change })).toThrow(
      expect.objectContaining({ name: 'EventError', code, field }),
    );
  });

  it('does not quote the input in an error', () => {
    expect(() => parse({ ...body, event: 'secret #' })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('secret') }),
    );
  });

  it('uses the time of receipt for a missing ts', () => {
    expect(parse({ ...body, ts: null }).event.ts).toBe(1766047125);
  });

  it.each([
    ['missing', null, {}],
    ['empty', '', {}],
    ['an empty array', [], {}],
    ['a bare value', 107, { value: '107' }],
  ])('reads data that is %s', (_, data, tree) => {
    const { event } = parse({ ...body, data });
    expect(event.data).toEqual(tree);
    expect(event).toMatchObject({ entityId: null, entity: null });
  });
});

it('parseEvent throws only EventError for any form', () => {
  const value = fc.oneof(
    fc.string(),
    fc.dictionary(fc.string(), fc.string()),
    fc.constantFrom('ONX', '1', {}, []),
  );
  const fields = fc.record({
    event: value,
    data: value,
    ts: value,
    event_handler_id: value,
    auth: fc.oneof(value, fc.record({ member_id: value })),
  });
  fc.assert(
    fc.property(fields, (form) => {
      const error = thrownBy(() => parse(form));
      expect(error === undefined || error instanceof EventError).toBe(true);
    }),
  );
});
