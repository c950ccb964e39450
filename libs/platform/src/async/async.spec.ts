import { describe, expect, it } from '@jest/globals';
import { createEventLoopYielder, waitAtMost } from './async.js';

const busy = (ms: number): void => {
  for (const until = performance.now() + ms; performance.now() < until;);
};

describe('a computation that yields to the event loop', () => {
  it('lets other callbacks run', async () => {
    let turnsOfOthers = 0;
    const other = setInterval(() => (turnsOfOthers += 1), 1);
    const yieldToEventLoop = createEventLoopYielder(2);
    for (let round = 0; round < 20; round += 1) {
      await yieldToEventLoop();
      busy(3);
    }
    clearInterval(other);
    expect(turnsOfOthers).toBeGreaterThanOrEqual(10);
  });

  it('continues at once within its time slice', async () => {
    let hasOtherHadTurn = false;
    setImmediate(() => (hasOtherHadTurn = true));
    const yieldToEventLoop = createEventLoopYielder(60_000);
    for (let round = 0; round < 1_000; round += 1) await yieldToEventLoop();
    expect(hasOtherHadTurn).toBe(false);
  });
});

describe('a wait with a timeout', () => {
  it('returns the result of the work, or undefined on timeout', async () => {
    expect(await waitAtMost(Promise.resolve('done'), 1_000)).toBe('done');
    expect(await waitAtMost(new Promise(() => undefined), 1)).toBeUndefined();
    await expect(waitAtMost(Promise.reject(new Error('boom')), 1_000)).rejects.toThrow('boom');
  });
});
