import { lastWords } from './last-words.js';

const signals = ['SIGINT', 'SIGTERM'] as const;

/**
 * The outermost frame of every process: what cannot be mended at start-up, and what nobody caught later (also a
 * rejection), is said on standard error and ends the process with 1. Node alone would print such an error with all that
 * drivers hang on it.
 */
export async function runMain(app: string, main: () => Promise<void>): Promise<void> {
  const end = (error: unknown): void => {
    process.stderr.write(`${app}: ${lastWords(error)}\n`);
    process.exit(1);
  };
  process.on('uncaughtException', end);
  try {
    await main();
  } catch (error) {
    end(error);
  }
}

/** Closes in good order at Ctrl-C or SIGTERM, and then ends the process; a second signal ends it at once. */
export function closeOnSignal(running: { close(): Promise<void> }): void {
  let isClosing = false;
  const close = async (): Promise<void> => {
    if (isClosing) process.exit(1);
    isClosing = true;
    try {
      await running.close();
      process.exit(0);
    } catch (error) {
      process.stderr.write(`while closing: ${lastWords(error)}\n`);
      process.exit(1);
    }
  };
  for (const signal of signals) process.on(signal, () => void close());
}
