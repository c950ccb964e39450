import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { httpBody, type PhpValue } from '../test/http-build-query.js';
import { parseEvent } from '../test/parse-event.js';
import { decodeForm } from './form.js';

const auth = {
  member_id: 'd897063e1ce7c5eb9f04b9751eef5915',
  access_token: 'made-up-access-token',
  refresh_token: 'made-up-refresh-token',
  application_token: 'made-up-application-token',
};

const dataOf = (data: PhpValue, credentials: PhpValue = auth) =>
  parseEvent(decodeForm(httpBody({ event: 'ONIMBOTMESSAGEADD', data, ts: '1', auth: credentials })), 0).event
    .data;

describe('the data of an event', () => {
  it('contains no secrets, at any depth', () => {
    const bot = { access_token: 'one', refresh_token: 'two', application_token: 'three', BOT_ID: '571' };
    const data = {
      BOT: { 571: { ...bot, AUTH: bot } },
      bot: { id: 456, auth: bot },
      TOKEN: 'four',
      link: `https://some-domain.bitrix24.com/?auth=${auth.access_token}`,
      TEXT: 'five',
    };
    expect(dataOf(data)).toEqual({ BOT: { 571: { BOT_ID: '571' } }, bot: { id: '456' }, TEXT: 'five' });
  });

  it('keeps a text that contains a value too short to be a token', () => {
    expect(dataOf({ FIELDS: { ID: '82' } }, { ...auth, access_token: '82' })).toEqual({
      FIELDS: { ID: '82' },
    });
  });

  it('never contains a token of auth, at any position', () => {
    const token = fc.stringMatching(/^[A-Za-z0-9.-]{24,40}$/);
    const secretsAndData = fc
      .record({ access_token: token, refresh_token: token, application_token: token })
      .chain((secrets) => {
        const part = fc.oneof(fc.string({ maxLength: 5 }), fc.constantFrom(...Object.values(secrets)));
        const text = fc.array(part, { maxLength: 3 }).map((parts) => parts.join(''));
        const tree = fc.dictionary(text, fc.oneof(text, fc.dictionary(text, text)));
        return fc.tuple(fc.constant(secrets), fc.oneof(text, tree));
      });
    fc.assert(
      fc.property(secretsAndData, ([secrets, data]) => {
        const written = JSON.stringify(dataOf(data, { member_id: 'm', ...secrets }));
        for (const secret of Object.values(secrets)) expect(written).not.toContain(secret);
      }),
    );
  });

  it.each([
    ['a long token', 100],
    ['a token as long as an event may be', 100_000],
  ])('never holds %s of auth, nor a text that holds it', (_, length) => {
    const token = 'x'.repeat(length - 1) + 'y';
    for (const name of ['access_token', 'refresh_token']) {
      expect(
        dataOf({ NOTE: `before ${token} after`, TEXT: 'five' }, { member_id: 'm', [name]: token }),
      ).toEqual({
        TEXT: 'five',
      });
    }
  });

  it('is a copy: the form is unchanged', () => {
    const body = httpBody({ event: 'ONX', data: { TOKEN: 'x', FIELDS: { ID: '1' } }, auth });
    const form = decodeForm(body);
    parseEvent(form, 0);
    expect(form).toEqual(decodeForm(body));
  });
});
