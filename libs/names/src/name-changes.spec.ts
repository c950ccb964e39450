import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CONTACT_CASES, NAME_CASES } from '../test/format-name.cases.js';
import { findNameChanges, NAME_FIELDS } from './name-changes.js';

type Contact = Partial<Record<(typeof NAME_FIELDS)[number], string>>;

/** `name + last name`, or all three. */
function contactOf(line: string): Contact {
  const fields = line.split('+').map((field) => field.trim());
  return fields.length === 2
    ? { name: fields[0], lastName: fields[1] }
    : { name: fields[0], secondName: fields[1], lastName: fields[2] };
}

const values = fc.oneof(
  fc.constantFrom(...NAME_CASES.flatMap(([input, expected]) => [input, expected])),
  fc.constantFrom(
    'JJ',
    'LI',
    'Jj',
    'van der',
    'VAN',
    'de',
    'Dr.',
    'CSc.',
    'Iii',
    'II',
    "'t",
    'ffrench',
    'MD',
    '',
  ),
  fc.string({
    unit: fc.constantFrom('van', 'JJ', 'Li', 'Jr', 'iii', 'De', 'MBA', 'jOHN', "O'neil", ' ', ' ', '.', '-'),
    maxLength: 6,
  }),
);
const contacts = fc.record({ name: values, secondName: values, lastName: values });
const options = fc.record({
  language: fc.constantFrom(undefined, 'tr', 'nl'),
  particles: fc.constantFrom('lower' as const, 'capital' as const),
  firstWord: fc.constantFrom('asWritten' as const, 'capital' as const),
});
const numRuns = Number(process.env['NUM_RUNS'] ?? 2_000);

describe('findNameChanges', () => {
  it.each(CONTACT_CASES)('makes of %j %j (%s, %s)', (input, expected) => {
    const contact = contactOf(input);
    expect({ ...contact, ...findNameChanges(contact) }).toEqual(contactOf(expected));
  });

  it('finds nothing to change in a contact that it has corrected', () => {
    fc.assert(
      fc.property(contacts, options, (contact, given) => {
        const corrected = { ...contact, ...findNameChanges(contact, given) };
        expect(findNameChanges(corrected, given)).toBeUndefined();
      }),
      { numRuns },
    );
  });

  it('names only the fields that differ, with what they should be', () => {
    const contact = { name: 'jOHN', secondName: 'Ronald', lastName: 'mcdonald' };
    expect(findNameChanges(contact)).toEqual({ name: 'John', lastName: 'McDonald' });
  });

  it('finds nothing in a contact that is well written', () => {
    expect(findNameChanges({ name: 'John', secondName: '', lastName: null })).toBeUndefined();
  });

  it('goes by the language and the settings of the portal', () => {
    const contact = { name: 'ALİ', secondName: 'el', lastName: 'de la IŞIK' };
    expect(findNameChanges(contact, { language: 'tr', particles: 'capital' })).toEqual({
      name: 'Ali',
      secondName: 'El',
      lastName: 'De La Işık',
    });
    expect(findNameChanges({ lastName: 'von der Leyen' }, { firstWord: 'capital' })).toEqual({
      lastName: 'Von der Leyen',
    });
  });

  it('looks only at fields that hold text', () => {
    expect(findNameChanges({ name: 5, secondName: ['jOHN'] })).toBeUndefined();
  });
});
