import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_MS = 100;
const MAX_MS = 10_000;

/** Delay in milliseconds before attempt `failures + 1`: doubles up to 10 s, with jitter to spread reconnects. */
export function backoffMs(failures: number, random: () => number = Math.random): number {
  const fullMs = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(failures - 1, 20));
  return fullMs * (0.5 + random() / 2);
}

/** Waits, or returns early when the signal aborts; never rejects. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The result of the work, or undefined on timeout; the work itself continues. */
export async function waitAtMost<T>(work: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
