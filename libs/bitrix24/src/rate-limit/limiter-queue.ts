import type { Ticket } from './bucket.js';
import type { Priority } from './rate-limiter.js';
import { sleep, unlessAborted } from './waiting.js';

/** Store of a portal's bucket: in this process, or in a database that several processes share. */
export interface SharedBucket {
  take(work: Priority): Promise<Ticket>;
  /** Milliseconds until the ticket may be used, as of now: a rejection or a changed limit moves it. */
  untilTurn(place: number): Promise<number>;
  /** Releases a ticket whose request will not be sent. Must not reject. */
  giveBack(place: number): Promise<void>;
  /** Throttles down after Bitrix24 has rejected a request. Must not reject. */
  lower(): Promise<void>;
}

/** After a longer wait the ticket is checked again before sending: there may have been a rejection meanwhile. */
const TRUSTED_WAIT_MS = 500;
/** Upper bound of one sleep between checks: the portal may have been given a higher limit. */
const MAX_SLEEP_MS = 10_000;

/**
 * Requests of this process that wait for one portal's bucket. Each live request holds a ticket in the bucket; bulk
 * requests wait in a local FIFO queue, and only its head asks the bucket.
 */
export class LimiterQueue {
  private bulkBefore: Promise<unknown> = Promise.resolve();

  constructor(private readonly bucket: SharedBucket) {}

  /**
   * Resolves when the request may be sent.
   * @throws the signal's reason; what the bucket throws
   */
  async admit(work: Priority, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { place, waitMs } =
      work === 'live'
        ? await this.take(work, signal)
        : await this.inBulkLine(() => this.take(work, signal), signal);
    try {
      signal?.throwIfAborted();
      await this.awaitTurn(place, waitMs, signal);
    } catch (error) {
      // Not awaited: an unavailable store may be the reason for the error.
      void this.bucket.giveBack(place);
      throw error;
    }
  }

  private async take(work: Priority, signal?: AbortSignal): Promise<Extract<Ticket, { granted: true }>> {
    for (;;) {
      const taken = await this.bucket.take(work);
      if (taken.granted) return taken;
      await sleep(wakeAfter(taken.askAgainMs), signal);
    }
  }

  private async awaitTurn(place: number, firstWaitMs: number, signal?: AbortSignal): Promise<void> {
    let waitMs = firstWaitMs;
    while (waitMs > 0) {
      await sleep(wakeAfter(waitMs), signal);
      waitMs = waitMs > TRUSTED_WAIT_MS ? await this.bucket.untilTurn(place) : 0;
    }
  }

  private async inBulkLine<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.bulkBefore;
    const mine = new Turn();
    this.bulkBefore = Promise.all([before, mine.over]);
    try {
      await unlessAborted(before, signal);
      return await work();
    } finally {
      mine.end();
    }
  }
}

class Turn {
  readonly over: Promise<void>;
  private resolve: (() => void) | undefined;

  constructor() {
    this.over = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  end(): void {
    this.resolve?.();
  }
}

/** At least one millisecond: a delay of a fraction of it must not cause a busy loop. */
function wakeAfter(ms: number): number {
  return Math.min(Math.max(ms, 1), MAX_SLEEP_MS);
}
