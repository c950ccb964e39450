import { setImmediate } from 'node:timers/promises';

/**
 * For a long computation in a loop, which would keep everything else in this process waiting: `await giveWay()` in each
 * round lets the others have their turn whenever this one has lasted for some milliseconds.
 */
export function createEventLoopYielder(turnMs = 5): () => Promise<void> {
  let beganAt = performance.now();
  return async () => {
    if (performance.now() - beganAt < turnMs) return;
    await setImmediate();
    beganAt = performance.now();
  };
}
