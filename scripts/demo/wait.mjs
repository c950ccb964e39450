import { setTimeout as pause } from 'node:timers/promises';

/** @param {number} ms @param {AbortSignal} signal throws its reason when it is aborted */
export async function wait(ms, signal) {
  await pause(ms, undefined, { signal }).catch(() => undefined);
  signal.throwIfAborted();
}

/**
 * Asks until there is an answer, or the time-out has passed.
 *
 * @template T
 * @param {() => Promise<T | undefined>} ask
 * @param {{ everyMs: number, timeoutMs?: number, signal: AbortSignal }} options
 * @returns {Promise<T | undefined>} undefined at the time-out
 */
export async function poll(ask, { everyMs, timeoutMs = Infinity, signal }) {
  for (const until = performance.now() + timeoutMs; ; await wait(everyMs, signal)) {
    const answer = await ask();
    if (answer !== undefined || performance.now() > until) return answer;
  }
}
