import { describe, expect, it } from '@jest/globals';
import { dateAndTime, timeOfDay, withoutSteering } from './foreign-text.js';

describe('what the API says', () => {
  it('has no characters that steer, in values and in names, and keeps the rest', () => {
    expect(
      withoutSteering({
        'a\u202Eb': ['\u0000\u001B[2J\u2028', 1, null, true, { c: 'two\nlines\tof' }],
        right: '\u200Fעברית\u200F 👩\u200D🚒',
      }),
    ).toEqual({
      'a\uFFFDb': ['\uFFFD\uFFFD[2J\uFFFD', 1, null, true, { c: 'two\nlines\tof' }],
      right: '\u200Fעברית\u200F 👩\u200D🚒',
    });
    expect(Object.keys(Object(withoutSteering(JSON.parse('{"__proto__":"x"}'))))).toEqual(['__proto__']);
  });

  it.each(['', 'soon', '+999999-01-01T00:00:00Z'])('is no time with %j', (text) => {
    expect([timeOfDay(text), dateAndTime(text)]).toEqual(['at an unknown time', 'at an unknown time']);
  });
});
