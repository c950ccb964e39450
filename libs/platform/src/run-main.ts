import { EnvironmentError } from './environment.js';
import { explain } from './startup-error.js';

const signals = ['SIGINT', 'SIGTERM'] as const;

/**
 * The outermost frame of every process: what cannot be mended at start-up is said in plain words on standard error
 * and ends the process with 1.
 */
export async function runMain(app: string, main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${app}: ${describe(error)}\n`);
    process.exit(1);
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
      process.stderr.write(`while closing: ${describe(error)}\n`);
      process.exit(1);
    }
  };
  for (const signal of signals) process.on(signal, () => void close());
}

function describe(error: unknown): string {
  if (error instanceof EnvironmentError) return error.message;
  const sentence = explain(error);
  if (sentence !== undefined) return sentence;
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join('; ');
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
