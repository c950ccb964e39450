import type { Ticket } from './bucket.js';
import type { Priority } from './rate-limiter.js';
import { sleep, unlessAborted } from './waiting.js';

/** Where a portal's bucket is kept: in this process, or for many in a database. */
export interface SharedBucket {
  take(work: Priority): Promise<Ticket>;
  /** Milliseconds until the turn of a place, as things are now: a refusal, or another limit, moves it. */
  untilTurn(place: number): Promise<number>;
  /** The request of this place will not be sent. Must not reject. */
  giveBack(place: number): Promise<void>;
  /** Bitrix24 has refused a request. Must not reject. */
  lower(): Promise<void>;
}

/** Who waited longer asks again before it goes: a refusal may have come meanwhile. */
const TRUSTED_WAIT_MS = 500;
/** Nobody sleeps longer without asking: the portal may have been given a higher limit. */
const MAX_SLEEP_MS = 10_000;

/**
 * Those in this process who wait for one portal's bucket. Live requests keep a place there each; bulk requests wait
 * here, one behind the other, so that only the first of them asks.
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
      // Not awaited: the store may be the very reason why somebody gives up.
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

/** At least a millisecond: what is due by a fraction of one must not be asked for in a tight loop. */
function wakeAfter(ms: number): number {
  return Math.min(Math.max(ms, 1), MAX_SLEEP_MS);
}
