import { ExponentialBackoff, halfJitterGenerator } from 'cockatiel';
import { pause, waitAtMost, deferred } from '@relay/platform';
import { BusClosedError } from '../contract/event-bus.js';
import type { ConnectionReport } from './connection-report.js';

/** Doubles from 0.1 to 10 s, with jitter to spread the attempts of many processes. Immutable: `next()` is the next step. */
export const BACKOFF = new ExponentialBackoff({
  initialDelay: 100,
  maxDelay: 10_000,
  generator: halfJitterGenerator,
});

/**
 * A connection with everything opened on it. It is never repaired: when a part of it fails, the whole session is
 * reopened.
 */
export interface Session {
  /** Closes it gracefully where the peer still answers; never rejects. */
  close(): Promise<void>;
}

interface ReconnectorOptions<S extends Session> {
  report: ConnectionReport;
  /** Opens one session, which calls `onEnd` at least once when it ends. */
  open: (onEnd: (cause: Error) => void) => Promise<S>;
}

/**
 * A session that lasted this long was healthy: the next back-off starts from the beginning. After a shorter one, the
 * next session is not reported as up before this time: a missing permission shows only at the first publish.
 */
const SOUND_MS = 10_000;
/** How long `close` waits for an attempt that cannot be interrupted. */
const CLOSE_TIMEOUT_MS = 3_000;

/** Keeps one session open: reopens it when it ends, with back-off and jitter, for ever, and reports its state. */
export class Reconnector<S extends Session> {
  private currentSession: S | undefined;
  private lastError: Error | undefined;
  private readonly closing = new AbortController();
  private readonly watchers = new Set<() => void>();
  private attempts = 0;
  /** The last session ended too soon after it was opened. */
  private wasUnsound = false;
  private loop: Promise<void> | undefined;

  constructor(private readonly options: ReconnectorOptions<S>) {}

  /** Starts; resolves after the first attempt, successful or not. */
  async start(): Promise<void> {
    this.loop ??= this.run();
    await this.until(() => this.attempts > 0 || this.currentSession !== undefined);
  }

  get current(): S | undefined {
    return this.currentSession;
  }

  /** Why there is no session now. */
  get lastCause(): Error | undefined {
    return this.lastError;
  }

  /** Resolves when a session is open. @throws BusClosedError when `close` comes first, or the signal aborts. */
  async opened(signal?: AbortSignal): Promise<void> {
    await this.until(() => this.currentSession !== undefined, signal);
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.wake();
    if (this.loop) await waitAtMost(this.loop, CLOSE_TIMEOUT_MS);
    this.options.report.close();
  }

  private async run(): Promise<void> {
    let [failures, backoff] = [0, BACKOFF.next()];
    while (!this.closing.signal.aborted) {
      const startedAt = performance.now();
      const cause = await this.runSession();
      this.attempts += 1;
      this.wake();
      if (cause === undefined) return;
      this.lastError = cause;
      if (performance.now() - startedAt >= SOUND_MS) [failures, backoff] = [0, BACKOFF.next()];
      failures += 1;
      const delayMs = backoff.duration;
      backoff = backoff.next(undefined);
      this.options.report.down(cause, { failures, delayMs });
      await pause(delayMs, this.closing.signal);
    }
  }

  /** Opens one session and waits for its end. @returns why it ended or could not be opened; undefined when closing */
  private async runSession(): Promise<Error | undefined> {
    const ended = deferred<Error>();
    let session: S;
    try {
      session = await this.options.open(ended.resolve);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
    this.currentSession = session;
    const { report } = this.options;
    const sound = setTimeout(() => {
      this.wasUnsound = false;
      report.up();
    }, SOUND_MS).unref();
    if (!this.wasUnsound) report.up();
    this.wasUnsound = true;
    this.wake();
    const cause = await Promise.race([ended.promise, aborted(this.closing.signal)]);
    clearTimeout(sound);
    this.currentSession = undefined;
    await session.close();
    return cause;
  }

  private async until(condition: () => boolean, signal?: AbortSignal): Promise<void> {
    const wake = (): void => this.wake();
    signal?.addEventListener('abort', wake);
    try {
      while (!condition()) {
        if (this.closing.signal.aborted || signal?.aborted) throw new BusClosedError();
        await new Promise<void>((resolve) => {
          this.watchers.add(resolve);
        });
      }
    } finally {
      signal?.removeEventListener('abort', wake);
    }
  }

  private wake(): void {
    const watchers = [...this.watchers];
    this.watchers.clear();
    for (const resolve of watchers) resolve();
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
