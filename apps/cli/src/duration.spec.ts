import { describe, expect, it } from '@jest/globals';
import { formatAge, parseTime } from './duration.js';

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

  it.each([
    ['2026-11-25T11:59:15Z', '45 s'],
    ['2026-11-25T11:00:00Z', '60 min'],
    ['2026-11-25T09:00:00Z', '3 h'],
    ['2026-11-20T12:00:00Z', '5 d'],
    ['2026-11-25T12:00:05Z', '0 s'],
    [null, '-'],
  ])('%s is %s old', (iso, age) => expect(formatAge(iso, now)).toBe(age));
});
