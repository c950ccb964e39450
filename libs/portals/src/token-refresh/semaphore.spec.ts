import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Semaphore } from './semaphore.js';

describe('Semaphore', () => {
  it('runs everything, in order, and never more at once than allowed, whatever fails', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.boolean(), { maxLength: 12 }),
        async (scheduler, limit, outcomes) => {
          const turns = new Semaphore(limit);
          const begun: number[] = [];
          let running = 0;
          let most = 0;
          const works = outcomes.map((succeeds, index) =>
            turns.run(async () => {
              begun.push(index);
              running += 1;
              most = Math.max(most, running);
              await scheduler.schedule(Promise.resolve());
              running -= 1;
              if (!succeeds) throw new Error('on purpose');
            }),
          );
          const settled = Promise.allSettled(works);
          await scheduler.waitFor(settled);
          const failed = (await settled).map(({ status }) => status === 'fulfilled');
          expect(failed).toEqual(outcomes);
          expect(begun).toEqual(outcomes.map((_, index) => index));
          expect(most).toBeLessThanOrEqual(limit);
        },
      ),
    );
  });
});
