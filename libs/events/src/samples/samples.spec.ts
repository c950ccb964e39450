import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { asReceived, httpBody } from '../../test/http-build-query.js';
import { eventNames, eventSamples, excerpts } from '../../test/samples.js';
import { parseEvent } from '../../test/parse-event.js';
import { decodeForm, decodeMessage, encodeMessage, parseInstall } from '../index.js';

const MEMBER_ID = '7ee9c4f86007ba41bc79bbfab1cd8a68';
const RECEIVED_AT = 1_766_047_125_250;

const cases = eventSamples().map((sample) => ({ ...sample, event: z.string().parse(sample.body.event) }));

describe('every sample of the official docs', () => {
  it.each(cases)('$event ($doc) is decoded as it was encoded', ({ body }) => {
    expect(decodeForm(httpBody(body))).toEqual(asReceived(body));
  });

  it.each(cases)('$event ($doc) is an event', ({ body, event }) => {
    const parsed = parseEvent(decodeForm(httpBody(body)), RECEIVED_AT);
    expect(parsed.event).toMatchObject({
      memberId: MEMBER_ID,
      name: event.toUpperCase().replace(/_\d+$/, ''),
      ts: Number(body.ts ?? Math.floor(RECEIVED_AT / 1000)),
    });
    expect(parsed.credentials.domain).toMatch(/\.bitrix24\.com$/);
  });

  it.each(cases)('$event ($doc) survives a message without its secrets', ({ body }) => {
    const { event } = parseEvent(decodeForm(httpBody(body)), RECEIVED_AT);
    const message = encodeMessage(event);
    expect(message.toString()).not.toMatch(/made-up-\w+-token/);
    expect(decodeMessage(message)).toEqual(event);
  });

  it('is included: every family, and every shape of data', () => {
    expect(cases.map(({ event }) => event)).toEqual(
      expect.arrayContaining([
        'ONAPPINSTALL',
        'ONAPPUNINSTALL',
        'ONAPPUPDATE',
        'ONAPPTEST',
        'ONAPPPAYMENT',
        'ONOFFLINEEVENT',
        'ONCRMCONTACTUPDATE',
        'ONCRMDYNAMICITEMADD_147',
        'ONCRMTYPEADD',
        'ONIMBOTMESSAGEADD',
        'ONIMCOMMANDADD',
        'ONVOXIMPLANTCALLEND',
        'ONTASKUPDATE',
      ]),
    );
    expect(cases).toHaveLength(76);
  });

  it('of an install event is an install', () => {
    const installs = cases.filter(({ event }) => event === 'ONAPPINSTALL');
    expect(installs).toHaveLength(1);
    for (const { body } of installs) {
      expect(parseInstall(decodeForm(httpBody(body)))).toMatchObject({ memberId: MEMBER_ID });
    }
  });
});

describe('every event name of the official docs', () => {
  it.each(eventNames())('%s (%s) is kept, in upper case', (name) => {
    const form = decodeForm(httpBody({ event: name, ts: '1', auth: { member_id: MEMBER_ID } }));
    expect(parseEvent(form, RECEIVED_AT).event.name).toBe(name.toUpperCase().replace(/_147$/, ''));
  });
});

describe('an excerpt without the member_id', () => {
  it.each(excerpts())('is rejected: $doc', ({ body }) => {
    expect(() => parseEvent(decodeForm(httpBody(body)), RECEIVED_AT)).toThrow(
      expect.objectContaining({ code: 'missing-field', field: 'auth[member_id]' }),
    );
  });
});
