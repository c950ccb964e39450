import { formatFatalError } from '@relay/platform';
import type { ResourceStack } from './resource-stack.js';

/** SIGHUP: the terminal was closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** At Ctrl-C the terminal signals every process, and npm passes its own on: one key press arrives twice. */
const SAME_KEY_PRESS_MS = 500;
const PARENT_POLL_INTERVAL_MS = 500;

/** The first signal closes everything in good order and ends the process with 0, a second one ends it at once. */
export function endOnSignal(parts: ResourceStack): void {
  let firstAt: number | undefined;
  const end = async (): Promise<void> => {
    if (firstAt !== undefined) {
      if (performance.now() - firstAt > SAME_KEY_PRESS_MS) process.exit(1);
      return;
    }
    firstAt = performance.now();
    process.stdout.write('\nEnding; a second Ctrl-C ends it at once.\n');
    try {
      await parts.close();
      process.exit(0);
    } catch (error) {
      process.stderr.write(`b24-relay: while ending: ${formatFatalError(error)}\n`);
      process.exit(1);
    }
  };
  for (const signal of SIGNALS) process.on(signal, () => void end());
  if (process.env['npm_lifecycle_event'] === 'start') whenParentIsGone(() => void end());
  // A closed terminal, or the end of a pipe such as `| head`: nobody reads any more, which is no reason to fall over.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/** Whoever ends npm ends the shell that it started us with, of which we hear nothing. */
function whenParentIsGone(end: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    end();
  }, PARENT_POLL_INTERVAL_MS);
  timer.unref();
}
