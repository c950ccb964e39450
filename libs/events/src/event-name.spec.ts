import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { thrownBy } from '../test/thrown.js';
import { EventError } from './event-error.js';
import { formatEventName, parseEventName } from './event-name.js';

describe('parseEventName', () => {
  it.each([
    ['ONCRMDYNAMICITEMADD_147', 'ONCRMDYNAMICITEMADD', 147],
    ['onCrmDynamicItemUpdate_1220', 'ONCRMDYNAMICITEMUPDATE', 1220],
    ['ONCRMCONTACTADD', 'ONCRMCONTACTADD', 0],
    ['onCrmActivityAdd', 'ONCRMACTIVITYADD', 0],
    ['CATALOG.PRICE.TYPE.ON.ADD', 'CATALOG.PRICE.TYPE.ON.ADD', 0],
  ])('splits %s', (name, base, entityTypeId) => {
    expect(parseEventName(name)).toEqual({ name: base, entityTypeId });
  });

  it.each(['X_0', 'X_007', 'X_2147483648', 'X_', '_5'])('finds no smart process in %s', (name) => {
    expect(parseEventName(name)).toEqual({ name, entityTypeId: 0 });
  });

  it.each([
    '',
    ' ',
    'A B',
    'A..B',
    '.A',
    'A.',
    'A#',
    'A*',
    "A'",
    'A\n',
    'ОНА',
    'ONCRMLEADADDı',
    'A'.repeat(101),
  ])('rejects %j', (name) => {
    expect(() => parseEventName(name)).toThrow(
      expect.objectContaining({ code: 'malformed-field', field: 'event' }),
    );
  });

  it('is inverted by formatEventName', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Z]{1,20}(\.[A-Z]{1,20}){0,2}$/), fc.nat(), (name, entityTypeId) => {
        expect(parseEventName(formatEventName(name, entityTypeId))).toEqual({ name, entityTypeId });
      }),
    );
  });

  it('throws only EventError for any text', () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        const error = thrownBy(() => parseEventName(name));
        expect(error === undefined || error instanceof EventError).toBe(true);
      }),
    );
  });
});
