import { describe, expect, it } from '@jest/globals';
import { hammer } from '../support/limits/hammer.mjs';

/**
 * Real: eight processes, PostgreSQL, HTTP. The bucket is quicker than Bitrix24's, by the same formula; a minute at two
 * a second is `npm run bench -- limits`.
 */
describe('eight processes that call one portal as fast as they can', () => {
  it('are never rejected, and use what the limit gives them', async () => {
    const [rate, burst] = [10, 150];
    const { seconds, done, lost } = await hammer({ rate, burst, seconds: 10 });
    const last = seconds.at(-1);
    expect(lost).toEqual([]);
    expect(last?.oursRejected).toBe(0);
    // X − 2Y at once, and Y a second.
    const given = burst - 2 * rate + rate * 10;
    expect(last?.ours).toBeGreaterThanOrEqual(0.9 * given);
    expect(last?.ours).toBeLessThanOrEqual(burst + rate * 11);
    // Background work has its share, and interactive work the rest.
    expect(done.background).toBeGreaterThan(given / 16);
    expect(done.interactive).toBeGreaterThan(done.background);
  }, 180_000);

  it('give way to a program that takes half of it, and lose no call', async () => {
    const [rate, burst] = [10, 50];
    const foreign = { rate: rate / 2, fromSecond: 0, toSecond: 15 };
    const { seconds, lost, done } = await hammer({ rate, burst, seconds: 15, foreign });
    const last = seconds.at(-1);
    expect(lost).toEqual([]);
    expect(last?.oursRejected).toBeGreaterThan(0);
    // A few each time that they find the counter at its end, not one for each that waits.
    expect(last?.oursRejected).toBeLessThan(80);
    expect(done.interactive + done.background).toBeGreaterThan(rate * 15 * 0.25);
  }, 180_000);
});
