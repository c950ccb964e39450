import { describe, expect, it } from '@jest/globals';
import { fieldsOf, inputsOf, nameOf, settingsIn, unknownIn } from './settings-form.js';

/** As zod makes it of the settings of smart-process-sync and name-formatter. */
const schema = {
  type: 'object',
  properties: {
    types: {
      type: 'object',
      default: { exclude: [] },
      properties: {
        include: { type: 'array', items: { type: 'integer' } },
        exclude: { type: 'array', default: [], items: { type: 'integer' } },
      },
    },
    invoices: { type: 'boolean', default: false },
    firstWord: { type: 'string', enum: ['asWritten', 'capital'], description: 'of a field' },
    language: { type: 'string' },
    limits: { type: 'array', items: { anyOf: [{ type: 'number' }, { type: 'string' }] } },
  },
  additionalProperties: false,
};
const fields = fieldsOf(schema);

describe('the form of settings', () => {
  it('has an input for each value, with what applies otherwise', () => {
    expect(fields.map((field) => [nameOf(field), field.kind, field.otherwise])).toEqual([
      ['types.include', 'numbers', ''],
      ['types.exclude', 'numbers', ''],
      ['invoices', 'flag', 'false'],
      ['firstWord', 'choice', ''],
      ['language', 'text', ''],
      ['limits', 'json', ''],
    ]);
    expect(fields[3]).toMatchObject({ options: ['asWritten', 'capital'], description: 'of a field' });
  });

  it.each([
    {},
    { types: { include: [147, 148] }, invoices: true },
    { firstWord: 'capital', language: 'tr', limits: [1, 'two'] },
    { invoices: false },
  ])('changes nothing of %j that nobody changed', (settings) => {
    expect(settingsIn(fields, inputsOf(fields, settings))).toEqual(settings);
    expect(unknownIn(fields, settings)).toEqual([]);
  });

  it('leaves what is no number to the server, which says so', () => {
    expect(settingsIn(fields, { 'types.include': '147, x,' })).toEqual({ types: { include: [147, 'x'] } });
  });

  it('names the field whose JSON cannot be read', () => {
    expect(() => settingsIn(fields, { limits: '[1' })).toThrow('limits is no JSON');
  });

  it('says what it would lose', () => {
    expect(unknownIn(fields, { invoices: true, old: 1, types: { other: 2 } })).toEqual([
      'old',
      'types.other',
    ]);
  });

  it.each([null, 'no schema', { type: 'object' }, { properties: 7 }])(
    'of the schema %j is one field of JSON',
    (odd) => {
      expect(fieldsOf(odd)).toEqual([expect.objectContaining({ path: [], kind: 'json' })]);
    },
  );
});
