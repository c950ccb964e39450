import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

/** @throws the signal's reason */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  expectMany(signal);
  try {
    await pause(ms, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Ends the wait when the signal aborts, with the signal's reason; the work goes on whether or not anybody waits. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  expectMany(signal);
  return new Promise((resolve, reject) => {
    const abandon = (): void => reject(signal.reason);
    if (signal.aborted) abandon();
    signal.addEventListener('abort', abandon, { once: true });
    work.finally(() => signal.removeEventListener('abort', abandon)).then(resolve, reject);
  });
}

/** Many requests may wait under one signal, such as a process's own: no leak that Node should warn of. */
function expectMany(signal: AbortSignal | undefined): void {
  if (signal) setMaxListeners(0, signal);
}
