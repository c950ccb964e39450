import { withTimeout } from '../async/async.js';
import type { Log } from '../telemetry/logger.js';

/** One part of a process to close. */
export interface ShutdownStep {
  /** Name for the log. */
  what: string;
  close: () => Promise<unknown>;
  /** After this time the next step begins anyway. */
  timeoutMs: number;
}

/** Some parts failed to close, or timed out; each is in the log. */
export class ShutdownError extends Error {
  override readonly name = 'ShutdownError';
  constructor(readonly parts: readonly string[]) {
    super(`Not closed in good order: ${parts.join(', ')}`);
  }
}

/**
 * Closes the parts in order. One that fails, or hangs on an unavailable server, does not block the others: the
 * supervisor kills the process after a while, and cuts everything that is still open.
 * @throws ShutdownError at the end
 */
export async function shutDownInOrder(steps: readonly ShutdownStep[], log: Log): Promise<void> {
  const unclosed: string[] = [];
  for (const { what, close, timeoutMs } of steps) {
    try {
      await withTimeout(close(), timeoutMs);
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
