import { Bitrix24Error } from '../errors.js';
import { LimiterQueue, type SharedBucket } from './limiter-queue.js';
import { MAX_WAIT_MS } from './operating-time.js';
import type { MethodUsage, RateLimiter, Priority } from './rate-limiter.js';
import { sleep } from './waiting.js';

const ASK_AGAIN_MS = 500;

/** Store of the operating time of one portal's methods. Method names are in lower case. */
export interface SharedOperatingTimes {
  /** The methods whose delay exceeds `MAX_WAIT_MS`, with the delay in milliseconds. */
  paused(methods: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Reserves one call of each method. @returns 0, or the milliseconds to wait before the next try */
  claim(methods: readonly string[]): Promise<number>;
  /** Must not reject. */
  observe(usage: readonly MethodUsage[]): Promise<void>;
}

/** Rate limiter of one portal on any store of its bucket and operating times. */
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

  /** The bucket comes last: a request that waits after it would arrive at Bitrix24 later than its ticket allows for. */
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
      // The awaited usage sample may arrive at any moment.
      const pauseMs = Math.min(waitMs, ASK_AGAIN_MS);
      await sleep(pauseMs, signal);
      waitedMs += pauseMs;
    }
  }
}

function lowered(methods: readonly string[]): string[] {
  return [...new Set(methods.map((method) => method.toLowerCase()))];
}
