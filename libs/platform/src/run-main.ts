import { ShutdownError } from './graceful-shutdown.js';
import { formatFatalError } from './fatal-error.js';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * The outermost frame of every process: what cannot be mended at start-up, and what nobody caught later (also a
 * rejection), is said on standard error and ends the process with 1. Node alone would print such an error with all that
 * drivers hang on it.
 */
export async function runMain(app: string, main: () => Promise<void>): Promise<void> {
  const end = (error: unknown): void => {
    process.stderr.write(`${app}: ${formatFatalError(error)}\n`);
    process.exit(1);
  };
  process.on('uncaughtException', end);
  try {
    await main();
  } catch (error) {
    end(error);
  }
}

/**
 * Starts, and closes in good order at Ctrl-C or SIGTERM, which ends the process with 0, or with 1 where a part could not
 * be closed; a second signal ends it at once, with 1. A first one ends it at once, with 0, when it comes before all has started,
 * for nothing is lost by it: what was taken is not settled, and what is waited for may never come.
 */
export async function runUntilSignal(start: () => Promise<{ close(): Promise<void> }>): Promise<void> {
  let running: { close(): Promise<void> } | undefined;
  let isClosing = false;
  const close = async (): Promise<void> => {
    if (isClosing) process.exit(1);
    isClosing = true;
    try {
      await running?.close();
      process.exit(0);
    } catch (error) {
      const why = error instanceof ShutdownError ? error.message : formatFatalError(error);
      process.stderr.write(`while closing: ${why}\n`);
      process.exit(1);
    }
  };
  for (const signal of SIGNALS) process.on(signal, () => void close());
  running = await start();
}
