import { describe, expect, it } from '@jest/globals';
import { asReceived, httpBody, type PhpValue } from '../../test/http-build-query.js';
import { eventSamples, excerpts } from '../../test/samples.js';
import { parseEvent } from '../../test/parse-event.js';
import { FAMILIES } from '../entity.js';
import {
  carriesMoreThanKey,
  decodeForm,
  decodeMessage,
  encodeMessage,
  keyOnlyData,
  namesEntity,
  parseInstall,
} from '../index.js';

const MEMBER_ID = '7ee9c4f86007ba41bc79bbfab1cd8a68';
const RECEIVED_AT = 1_766_047_125_250;

const cases = eventSamples();

const parse = (body: { [key: string]: PhpValue }) => parseEvent(decodeForm(httpBody(body)), RECEIVED_AT);

describe('every sample of the official docs', () => {
  it.each(cases)('$event ($doc) is decoded as it was encoded', ({ body }) => {
    expect(decodeForm(httpBody(body))).toEqual(asReceived(body));
  });

  it.each(cases)('$event ($doc) is an event', ({ body, event }) => {
    const parsed = parse(body);
    expect(parsed.event).toMatchObject({
      memberId: MEMBER_ID,
      name: event.toUpperCase().replace(/_\d+$/, ''),
      ts: Number(body.ts ?? Math.floor(RECEIVED_AT / 1000)),
    });
    expect(parsed.credentials.domain).toMatch(/\.bitrix24\.com$/);
  });

  it.each(cases)('$event ($doc) survives a message without its secrets', ({ body }) => {
    const { event } = parse(body);
    const message = encodeMessage(event);
    expect(message.toString()).not.toMatch(/made-up-\w+-token/);
    expect(decodeMessage(message)).toEqual(event);
  });

  it.each(cases)('$event ($doc) has the key $entity', ({ body, event, entity, idOnly }) => {
    const parsed = parse(body).event;
    expect(parsed.entity).toBe(entity);
    expect(namesEntity(parsed.name)).toBe(entity !== null);
    if (entity === null) return;
    expect(parsed.entityId).toBe(entity.slice(entity.lastIndexOf(':') + 1));
    expect({ event, idOnly: !carriesMoreThanKey(parsed.data, parsed.entityTypeId) }).toEqual({
      event,
      idOnly,
    });
  });

  it.each(cases.filter(({ idOnly }) => idOnly))(
    '$event ($doc) can be made again of $entity',
    ({ body, entity }) => {
      const { name, entityTypeId, data } = parse(body).event;
      const made = keyOnlyData(name, entityTypeId, entity ?? '');
      // The pages of comments print the id where no captured request has it.
      expect([data, { FIELDS: data }]).toContainEqual(made);
      expect(carriesMoreThanKey(made ?? {}, entityTypeId)).toBe(false);
    },
  );

  it.each(cases.filter(({ body }) => 'eventId' in body))('$event keeps its eventId', ({ body }) => {
    expect(parse(body).event.eventId).toBe(asReceived(body['eventId'] ?? null));
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
    expect(cases).toHaveLength(216);
    expect(new Set(cases.map(({ event }) => event.toUpperCase())).size).toBe(202);
    expect(cases.filter(({ body }) => 'eventId' in body)).toHaveLength(7);
  });

  it('of a family of things is at the page that its row names, and no name is of two families', () => {
    const named = FAMILIES.flatMap(({ names, doc }) => names.map((name) => ({ name, doc })));
    expect(new Set(named.map(({ name }) => name)).size).toBe(named.length);
    for (const { name, doc } of named) {
      const pages = cases.filter(({ event }) => event.toUpperCase() === name).map((sample) => sample.doc);
      expect({ name, pages }).toEqual({
        name,
        pages: expect.arrayContaining([expect.stringContaining(`api-reference/${doc}`)]),
      });
    }
  });

  it('of an install event is an install', () => {
    const installs = cases.filter(({ event }) => event === 'ONAPPINSTALL');
    expect(installs).toHaveLength(1);
    for (const { body } of installs) {
      expect(parseInstall(decodeForm(httpBody(body)))).toMatchObject({ memberId: MEMBER_ID });
    }
  });
});

describe('an excerpt without the member_id', () => {
  it.each(excerpts())('is rejected: $doc', ({ body }) => {
    expect(() => parseEvent(decodeForm(httpBody(body)), RECEIVED_AT)).toThrow(
      expect.objectContaining({ code: 'missing-field', field: 'auth[member_id]' }),
    );
  });
});
