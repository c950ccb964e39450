import { within } from './async.js';
import type { Log } from './logger.js';

/** One part of a process that ends. */
export interface ShutdownStep {
  /** What is closed, for the log. */
  what: string;
  close: () => Promise<unknown>;
  /** After so long the next step begins all the same. */
  timeoutMs: number;
}

/** Some parts did not close, or not in time; each is in the log. */
export class ShutdownError extends Error {
  override readonly name = 'ShutdownError';
  constructor(readonly parts: readonly string[]) {
    super(`Not closed in good order: ${parts.join(', ')}`);
  }
}

/**
 * Closes part after part. One that fails, or hangs on a server that is away, does not keep the others open: whoever ends
 * a process kills it after a while, and what should have been closed by then is cut.
 * @throws ShutdownError at the end
 */
export async function closeInOrder(steps: readonly ShutdownStep[], log: Log): Promise<void> {
  const unclosed: string[] = [];
  for (const { what, close, timeoutMs } of steps) {
    try {
      await within(close(), timeoutMs);
    } catch (err) {
      unclosed.push(what);
      log.warn(
        { event: 'shutdown.part.failed', what, err },
        'a part of this process did not close; the next is closed',
      );
    }
  }
  if (unclosed.length > 0) throw new ShutdownError(unclosed);
}
