import { describe, expect, it } from '@jest/globals';
import { EventError } from './event-error.js';
import { decodeMessage, encodeMessage } from './message.js';
import { openOfflineEvent } from './offline-event.js';
import { parseEvent } from '../test/parse-event.js';
import { decodeForm } from './form.js';

const open = (
  data: unknown,
  name = 'ONCRMCONTACTUPDATE',
  timestampMs: number | undefined = 1_700_000_000_500,
) => openOfflineEvent('m1', { name, data, timestampMs }, 1_800_000_000_000);

describe('an event of the offline queue', () => {
  it('is the event of the form, with its source', () => {
    const form =
      'event=ONCRMDYNAMICITEMUPDATE_147&data[FIELDS][ID]=5&data[FIELDS][ENTITY_TYPE_ID]=147&ts=1700000000&auth[member_id]=m1';
    const { event: ofForm } = parseEvent(decodeForm(Buffer.from(form)), 1_800_000_000_000);
    const event = open({ FIELDS: { ID: 5, ENTITY_TYPE_ID: '147' } }, 'onCrmDynamicItemUpdate_147');
    expect(event).toEqual({ ...ofForm, id: event.id, source: 'offline' });
    expect(event.entity).toBe('CRMDYNAMICITEM_147:5');
  });

  it('goes through a message and back', () => {
    const event = open({ FIELDS: { ID: 5 } });
    expect(decodeMessage(encodeMessage(event))).toEqual(event);
  });

  it.each([false, null, undefined, '', 7, 'text', []])('of data %j has none', (data) => {
    expect({ ...open(data).data }).toEqual({});
    expect(open(data).entity).toBeNull();
  });

  it('has texts, as a form has', () => {
    const { data } = open({ a: 1, b: true, c: false, d: null, e: ['x', { f: 2 }], access_token: 'secret' });
    expect(JSON.parse(JSON.stringify(data))).toEqual({
      a: '1',
      b: '1',
      c: '0',
      e: { 0: 'x', 1: { f: '2' } },
    });
  });

  it('without a time has that of its receipt', () => {
    for (const time of [undefined, -1, Number.NaN, Infinity]) {
      const event = openOfflineEvent('m1', { name: 'ONX', data: {}, timestampMs: time }, 1_800_000_000_000);
      expect(event.ts).toBe(1_800_000_000);
    }
  });

  it.each([
    ['too many values', Object.fromEntries(Array.from({ length: 1_001 }, (_, at) => [`k${at}`, at]))],
    ['too much text', { a: 'x'.repeat(256 * 1024 + 1) }],
    ['too deep', JSON.parse('{"a":'.repeat(30) + '1' + '}'.repeat(30))],
  ])('with %s is none', (_, data) => {
    expect(() => open(data)).toThrow(EventError);
  });

  it.each(['', 'ON X', 'ONX"; DROP', 'x'.repeat(101)])('named %j is none', (name) => {
    expect(() => open({}, name)).toThrow(EventError);
  });
});
