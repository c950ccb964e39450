import { Bitrix24Error } from '../errors.js';
import { LimiterQueue, type SharedBucket } from './limiter-queue.js';
import { MAX_WAIT_MS } from './operating-time.js';
import type { MethodUsage, RateLimiter, Priority } from './rate-limiter.js';
import { sleep } from './waiting.js';

const ASK_AGAIN_MS = 500;

/** Where the operating time of one portal's methods is kept. Methods are in lower case. */
export interface SharedOperatingTimes {
  /** Those of the methods that have to wait too long to wait for, and how many milliseconds. */
  paused(methods: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Asks for one call of each of the methods: 0, or how many milliseconds to wait before asking again. */
  claim(methods: readonly string[]): Promise<number>;
  /** Must not reject. */
  observe(usage: readonly MethodUsage[]): Promise<void>;
}

/** How one portal's limits are kept, wherever bucket and operating times are. */
export class DistributedRateLimiter implements RateLimiter {
  readonly #line: LimiterQueue;

  constructor(
    private readonly bucket: SharedBucket,
    private readonly times: SharedOperatingTimes,
  ) {
    this.#line = new LimiterQueue(bucket);
  }

  async throttled(methods: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, number>> {
    signal?.throwIfAborted();
    return await this.times.paused(lowered(methods));
  }

  /** The bucket comes last: who had to wait after that would arrive when its place is no longer its own. */
  async admit(
    { work, methods }: { work: Priority; methods: readonly string[] },
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#claimCalls(lowered(methods), signal);
    await this.#line.admit(work, signal);
  }

  refused(): Promise<void> {
    return this.bucket.lower();
  }

  observe(usage: readonly MethodUsage[]): Promise<void> {
    return this.times.observe(usage);
  }

  async #claimCalls(methods: readonly string[], signal?: AbortSignal): Promise<void> {
    let waitedMs = 0;
    for (;;) {
      signal?.throwIfAborted();
      const waitMs = await this.times.claim(methods);
      if (waitMs === 0) return;
      if (waitedMs + waitMs > MAX_WAIT_MS) {
        const [method] = methods;
        const named = methods.length === 1 && method !== undefined ? { method } : {};
        throw new Bitrix24Error('OPERATION_TIME_LIMIT', { retryAfterMs: waitMs, delivered: 'no', ...named });
      }
      // The bill that is awaited may come at any moment.
      const pauseMs = Math.min(waitMs, ASK_AGAIN_MS);
      await sleep(pauseMs, signal);
      waitedMs += pauseMs;
    }
  }
}

function lowered(methods: readonly string[]): string[] {
  return [...new Set(methods.map((method) => method.toLowerCase()))];
}
