import { setTimeout as delay } from 'node:timers/promises';

/** Waits. Ends early, and without an error, when the signal aborts. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(ms, undefined, signal && { signal }).catch(() => undefined);
}
