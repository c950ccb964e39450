import { describe, expect, it } from '@jest/globals';
import { WrongTokens } from './wrong-tokens.js';

describe('a wrong token', () => {
  it('waits twice as long as the one before it from the same address, five seconds at most', () => {
    const tokens = new WrongTokens();
    const pauses = Array.from({ length: 8 }, () => tokens.hold('10.0.0.1'));
    expect(pauses).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    expect(tokens.hold('10.0.0.2')).toBe(100);
  });

  it('is forgotten after ten minutes without another', () => {
    let now = 0;
    const tokens = new WrongTokens(() => now);
    expect([tokens.hold('a'), tokens.hold('a')]).toEqual([100, 200]);
    now += 10 * 60_000 + 1;
    expect(tokens.hold('a')).toBe(100);
  });

  it('is held back with fifty others at most; more are rejected at once', () => {
    const tokens = new WrongTokens();
    for (let count = 0; count < 50; count += 1) expect(tokens.hold(`address ${count}`)).toBe(100);
    expect(tokens.hold('one more')).toBeUndefined();
    tokens.release();
    expect(tokens.hold('another')).toBe(100);
  });
});
