import { describe, expect, it } from '@jest/globals';
import { Progress } from './progress.js';

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
