const FIRST_PAUSE_MS = 25;
/** A probe asks a process of ours more often than not: who waits for seconds must not slow down what he waits for. */
const MAX_PAUSE_MS = 100;

/**
 * Polls until `probe` stops throwing and returns what it returned; rethrows its last error at the time-out.
 * @param options.everyMs if absent, 25 ms at first, and after a second every 100 ms
 */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  { timeoutMs = 30_000, everyMs }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.1, MAX_PAUSE_MS)) {
    try {
      return await probe();
    } catch (error) {
      if (Date.now() >= deadline) throw error;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, everyMs ?? pauseMs);
    });
  }
}
