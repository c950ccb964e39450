import { setTimeout as pause } from 'node:timers/promises';

/**
 * Polls until `look` returns something, and returns that.
 * @template T
 * @param {string} what for the error
 * @param {() => Promise<T | undefined>} look
 * @param {{ everyMs?: number, timeoutMs: number, signal: AbortSignal }} options
 * @returns {Promise<T>}
 */
export async function until(what, look, { everyMs = 100, timeoutMs, signal }) {
  for (const deadline = performance.now() + timeoutMs; ;) {
    signal.throwIfAborted();
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`after ${Math.round(timeoutMs / 1000)} s: ${what}`);
    await pause(everyMs, undefined, { signal });
  }
}
