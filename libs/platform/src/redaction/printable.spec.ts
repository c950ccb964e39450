import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { escapeUnprintable, printable, printableJson, printableLines } from './printable.js';

const steering = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const unit = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\u001b[2J', '\u009b31m', '\u202e', '\r', '\n', '\u2028', '\u0000', '\ud800', '\u{e0041}'),
);
const foreign = fc.array(unit, { maxLength: 6 }).map((parts) => parts.join(''));

describe('a foreign text on a terminal', () => {
  it('controls nothing and stays in its line, for any text', () => {
    fc.assert(fc.property(foreign, (text) => expect(printable(text)).not.toMatch(steering)));
  });

  it('shows the position of removed characters', () => {
    expect(printable('acme\u001b[2J.example\n\u202ecom')).toBe('acme\ufffd[2J.example\ufffd\ufffdcom');
    expect(printable('Łukasz O’Neil 李 😀')).toBe('Łukasz O’Neil 李 😀');
  });

  it('may have several lines if it is our stack', () => {
    expect(printableLines('Error: \u001b]0;x\u0007\n\tat a\r')).toBe('Error: \ufffd]0;x\ufffd\n\tat a\ufffd');
  });

  it('is made printable everywhere in an answer, including names', () => {
    expect(printableJson({ 'a\u009b': ['b\r', { c: '\u200f' }], n: 1, none: null })).toEqual({
      'a\ufffd': ['b\ufffd', { c: '\ufffd' }],
      n: 1,
      none: null,
    });
  });
});

describe('a line of JSON', () => {
  it('is equivalent with escapes, and controls nothing', () => {
    fc.assert(
      fc.property(foreign, (text) => {
        const line = escapeUnprintable(`${JSON.stringify({ [text]: text })}\n`);
        expect(JSON.parse(line)).toEqual({ [text]: text });
        expect(line.slice(0, -1)).not.toMatch(steering);
        expect(line.endsWith('\n')).toBe(true);
      }),
    );
  });
});
