import { describe, expect, it } from '@jest/globals';
import { parseTime } from './option-values.js';

const now = Date.parse('2026-11-25T12:00:00Z');

describe('a time on the command line', () => {
  it.each([
    ['90s', '2026-11-25T11:58:30.000Z'],
    ['30m', '2026-11-25T11:30:00.000Z'],
    ['2h', '2026-11-25T10:00:00.000Z'],
    ['7d', '2026-11-18T12:00:00.000Z'],
    ['2026-11-25T08:00:00Z', '2026-11-25T08:00:00.000Z'],
    ['2026-11-25T08:00+03:00', '2026-11-25T05:00:00.000Z'],
    ['2026-11-25', '2026-11-25T00:00:00.000Z'],
  ])('%s is %s', (text, iso) => expect(parseTime(text, now)).toBe(iso));

  it.each(['', '2', '2w', '-2h', 'yesterday', '2026-11-25T08:00:00', '2026-13-01', '9999999d'])(
    '%j is none',
    (text) => expect(() => parseTime(text, now)).toThrow('is no time'),
  );
});
