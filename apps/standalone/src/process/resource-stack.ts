import { formatFatalError } from '@relay/platform';

type Close = () => Promise<void> | void;

/** What was opened, in order. Whoever opens something says here how it is closed. */
export class ResourceStack {
  private readonly opened: Close[] = [];
  private closing: Promise<void> | undefined;

  get isClosing(): boolean {
    return this.closing !== undefined;
  }

  add(close: Close): void {
    this.opened.push(close);
  }

  /** Closes the last first; a part that cannot be closed does not keep the others open. */
  close(): Promise<void> {
    this.closing ??= this.closeAll();
    return this.closing;
  }

  private async closeAll(): Promise<void> {
    const failures: unknown[] = [];
    // A start that is under way may open one more meanwhile.
    for (let close = this.opened.pop(); close; close = this.opened.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures);
  }
}

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
  if (['start', 'dev'].includes(process.env['npm_lifecycle_event'] ?? '')) whenParentIsGone(() => void end());
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
