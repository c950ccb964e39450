import { describe, expect, it } from '@jest/globals';
import { register } from 'prom-client';
import { track } from './running-jobs.js';

async function value(series: string): Promise<number> {
  const body = await register.metrics();
  const line = body.split('\n').find((one) => one.startsWith(`relay_sync_${series} `));
  return Number(line?.split(' ').at(-1));
}

describe('what is under way', () => {
  it('is shown in the metrics while it is, summed over portals, with the time of the slowest', async () => {
    const fast = { speed: () => ({ items: 500, itemsPerSecond: 100, part: 0.5, secondsLeft: 5 }) };
    const slow = { speed: () => ({ items: 20, itemsPerSecond: 2, part: 0.1, secondsLeft: 90 }) };
    const failure = new Error('the portal is away');
    await track('backfill', fast, async () => {
      const failing = track('backfill', slow, async () => {
        expect(await value('running{work="backfill"}')).toBe(2);
        expect(await value('running_items{work="backfill"}')).toBe(520);
        expect(await value('running_items_per_second{work="backfill"}')).toBe(102);
        expect(await value('running_seconds_left{work="backfill"}')).toBe(90);
        expect(await value('running{work="reconcile"}')).toBe(0);
        throw failure;
      });
      await expect(failing).rejects.toBe(failure);
      expect(await value('running{work="backfill"}')).toBe(1);
    });
    expect(await value('running{work="backfill"}')).toBe(0);
    expect(await value('running_seconds_left{work="backfill"}')).toBe(0);
  });

  it('tells no time where nobody can', async () => {
    await track('reconcile', { speed: () => ({ items: 0, itemsPerSecond: 0, part: 0 }) }, async () => {
      expect(await value('running_seconds_left{work="reconcile"}')).toBe(0);
      expect(await value('running{work="reconcile"}')).toBe(1);
    });
  });
});
