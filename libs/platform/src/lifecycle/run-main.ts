import { ShutdownError } from './graceful-shutdown.js';
import { formatFatalError } from '../errors/fatal-error.js';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Entry point of every process: an error at start-up, and a later uncaught error or rejection, is written to standard
 * error and ends the process with exit code 1. Node's default would print the error with all properties that drivers
 * add.
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
 * Starts, and shuts down gracefully at Ctrl-C or SIGTERM, with exit code 0, or 1 if a part could not be closed. A
 * second signal ends the process at once, with 1. A signal during start-up ends it at once, with 0: nothing is lost,
 * because deliveries are not settled yet, and start-up may wait forever.
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
