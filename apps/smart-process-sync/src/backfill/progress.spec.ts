import { describe, expect, it } from '@jest/globals';
import { register } from 'prom-client';
import { Progress, track } from './progress.js';

const type = { entityTypeId: 147, title: 'Orders', items: 0, after: '0', lastId: '999', isDone: false };

describe('the progress of a backfill', () => {
  it('tells items, rate and time left, by how far it is in the ids', () => {
    let now = 0;
    const progress = new Progress({}, () => now);
    progress.open(type);
    progress.open({ ...type, entityTypeId: 150 });
    progress.advance(147, 500, '500', false);
    now = 5_000;
    expect(progress.toJSON()).toMatchObject({ items: 500, itemsPerSecond: 100, part: 0.25, secondsLeft: 15 });
    progress.advance(147, 100, '999', true);
    progress.advance(150, 0, '0', true);
    expect(progress.toJSON()).toMatchObject({ items: 600, part: 1, secondsLeft: 0 });
  });

  it('goes on from what was said before it was killed', () => {
    const first = new Progress();
    first.open(type);
    first.advance(147, 500, '500', false);
    first.found.stale = 3;
    const second = new Progress(JSON.parse(JSON.stringify(first.toJSON())));
    expect(second.open(type)).toMatchObject({ after: '500', items: 500 });
    expect(second.toJSON()).toMatchObject({ items: 500, itemsPerSecond: 0, found: { stale: 3 } });
  });

  it('is complete when there is nothing to do', () => {
    expect(new Progress().toJSON()).toMatchObject({ items: 0, part: 1 });
  });
});

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
