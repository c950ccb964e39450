import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** @throws the signal's reason */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  expectMany(signal);
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Rejects with the signal's reason when the signal aborts; `work` itself continues. */
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

/** Many requests may wait on one signal, such as that of the process: Node's leak warning would be false. */
function expectMany(signal: AbortSignal | undefined): void {
  if (signal) setMaxListeners(0, signal);
}
