import { describe, expect, it } from '@jest/globals';
import { httpBody } from '../test/http-build-query.js';
import { parseEvent } from '../test/parse-event.js';
import { eventSamples } from '../test/samples.js';
import { FAMILIES } from './entity.js';
import { DATA_ROWS, type EventData, type EventName, findDataMismatch } from './event-data.js';
import { decodeForm, type FormTree } from './index.js';

const names: string[] = DATA_ROWS.flatMap((row) => [...row.names]);
const cases = eventSamples().map((sample) => ({
  ...sample,
  parsed: parseEvent(decodeForm(httpBody(sample.body)), 0).event,
}));

/** `true` if each type accepts the other. */
type Same<A, B> = [A, B] extends [B, A] ? true : false;

const differs = (name: string, data: FormTree) => findDataMismatch({ name, data });

describe('the data of events', () => {
  it.each(cases)('$event ($doc) are as their row says', ({ parsed }) => {
    expect(findDataMismatch(parsed)).toBeUndefined();
  });

  it('have one row for every documented event, every event that names a thing included, and for no other', () => {
    expect(new Set(names).size).toBe(names.length);
    expect(names.toSorted()).toEqual([...new Set(cases.map(({ parsed }) => parsed.name))].toSorted());
    expect(names).toEqual(expect.arrayContaining(FAMILIES.flatMap((family) => [...family.names])));
  });

  it('have a shape with a name of its own in each row', () => {
    expect(new Set(DATA_ROWS.map(({ shape }) => shape)).size).toBe(DATA_ROWS.length);
  });

  // Without its last key, or with a tree where a text is expected, something that the page promises is missing.
  it.each(cases.filter(({ parsed, entity }) => entity !== null && Object.keys(parsed.data).length > 0))(
    '$event ($doc) are not as documented without their contents',
    ({ parsed }) => {
      expect(findDataMismatch({ name: parsed.name, data: {} })).toBeDefined();
      expect(findDataMismatch({ name: parsed.name, data: { ...parsed.data, ADDED: '1' } })).toBeUndefined();
    },
  );

  it('differ at a path without words of the portal', () => {
    expect(differs('ONCRMDEALADD', { FIELDS: {} })).toBe('FIELDS.ID');
    expect(differs('ONCRMDEALADD', { FIELDS: { ID: {} } })).toBe('FIELDS.ID');
    expect(differs('ONIMBOTMESSAGEADD', { BOT: { 'a b': 'x' }, PARAMS: {} })).toBe('BOT.*');
    expect(differs('ONSOMETHINGNEW', { any: 'thing' })).toBeUndefined();
  });

  it('have types by the names of their events', () => {
    const compiled: [
      Same<EventData<'ONCRMDEALADD'>, { FIELDS: { ID: string } }>,
      Same<EventData<'ONCRMDYNAMICITEMADD_147'>, { FIELDS: { ID: string; ENTITY_TYPE_ID: string } }>,
      Same<
        EventData<'ONCALENDARENTRYADD' | 'CATALOG.MEASURE.ON.ADD'>,
        { id: string } | { FIELDS: { ID: string } }
      >,
      Same<EventData<'ONCALENDARENTRYADD'>, { ID: string }>,
    ] = [true, true, true, false];
    expect(compiled).toHaveLength(4);
    // @ts-expect-error a name that no page has
    const unknown: EventName = 'ONCRMDEALAD';
    expect(names).not.toContain(unknown);
  });
});
