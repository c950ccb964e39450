import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { countryOfLanguage, formatPhone } from './format-phone.js';

describe('a phone', () => {
  it.each([
    ['0532 123 45 67', 'TR', '+905321234567'],
    ['8 (495) 123-45-67', 'RU', '+74951234567'],
    ['020 7946 0958', 'GB', '+442079460958'],
    ['+49 (0)30 901820', undefined, '+4930901820'],
    ['00 90 532 123 45 67', 'TR', '+905321234567'],
    ['+90 532 123 45 67', 'DE', '+905321234567'],
    ['+905321234567', undefined, '+905321234567'],
  ] as const)('%s of %s is %s', (value, country, expected) => {
    expect(formatPhone(value, country)).toBe(expected);
  });

  it.each([
    ['no country', '0532 123 45 67', undefined],
    ['words around it', '+90 532 123 45 67 (Ali)', 'TR'],
    ['two numbers', '+905321234567, +905321234568', 'TR'],
    ['an extension', '+90 212 345 67 89 ext. 12', 'TR'],
    ['too few digits', '532 12', 'TR'],
    ['no digits', 'call me', 'TR'],
    ['nothing in it', '', 'TR'],
    ['a page of text', `+90 532 123 45 67${' '.repeat(100_000)}`, 'TR'],
  ] as const)('with %s stays as it is', (_, value, country) => {
    expect(formatPhone(value, country)).toBeUndefined();
  });

  it('that is formatted stays so in every country, whatever it was', () => {
    const country = fc.constantFrom('TR', 'DE', 'US', 'IT', undefined);
    const written = fc.stringMatching(/^\+?[0-9 ()-]{5,20}$/);
    fc.assert(
      fc.property(written, country, country, (value, first, second) => {
        const formatted = formatPhone(value, first);
        if (formatted === undefined) return;
        expect(formatted).toMatch(/^\+[1-9]\d{3,17}$/);
        expect(formatPhone(formatted, second)).toBe(formatted);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the country of a language', () => {
  it.each([
    ['tr', 'TR'],
    ['UA', 'UA'],
    ['en', undefined],
    ['la', undefined],
    ['constructor', undefined],
    [undefined, undefined],
  ])('%s is %s', (language, country) => {
    expect(countryOfLanguage(language)).toBe(country);
  });
});
