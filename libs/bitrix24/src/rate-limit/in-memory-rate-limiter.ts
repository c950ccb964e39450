import pLimit from 'p-limit';
import {
  sleep,
  unlessAborted,
  canBeSent,
  type MethodUsage,
  type Priority,
  type RateLimiter,
  type RequestToAdmit,
  type Throttled,
} from './rate-limiter.js';
import {
  type Bucket,
  emptyBucket,
  releaseTicket,
  leakBucket,
  throttleDown,
  type RateLimit,
  takeTicket,
  ticketDelayMs,
  DEFAULT_LIMIT,
} from './bucket.js';
import { splitWaits, observeUsage, reserveCalls, type ThrottledMethod } from './operating-time.js';

/** After a longer wait the delay is computed again: there may have been a rejection meanwhile. */
const TRUSTED_WAIT_MS = 500;
/** Upper bound of one sleep between checks. */
const MAX_SLEEP_MS = 10_000;

/**
 * Rate limiter of one portal for a program that is one process and the only client of the portal from its address.
 * Several processes need a `RateLimiter` on a shared store.
 */
export class InMemoryRateLimiter implements RateLimiter {
  private bucket: Bucket = emptyBucket(performance.now());
  private readonly throttledMethods = new Map<string, ThrottledMethod>();
  /** Background requests ask for a ticket one after the other, in their order; interactive ones at once. */
  private readonly backgroundQueue = pLimit(1);

  /** @param limit of the portal's plan */
  constructor(private readonly limit: RateLimit = DEFAULT_LIMIT) {}

  /** The bucket comes last: a request that waits after it would arrive at Bitrix24 later than its ticket allows for. */
  async admit(request: RequestToAdmit, signal?: AbortSignal): Promise<Throttled> {
    signal?.throwIfAborted();
    const known = { ...request, methods: lowered(request.methods), optional: lowered(request.optional) };
    const throttled = await this.reserveCalls(known, signal);
    if (canBeSent(known, throttled))
      await this.awaitTicket(await this.takeTicket(request.priority, signal), signal);
    return throttled;
  }

  rejected(): Promise<void> {
    this.bucket = throttleDown(this.bucket, this.limit, performance.now());
    return Promise.resolve();
  }

  observe(usage: readonly MethodUsage[]): Promise<void> {
    for (const sample of usage) {
      const changed = observeUsage(this.throttledMethods.get(sample.method), sample, performance.now());
      if (changed) this.throttledMethods.set(sample.method, changed);
      else this.throttledMethods.delete(sample.method);
    }
    return Promise.resolve();
  }

  private async reserveCalls(
    request: RequestToAdmit & { optional: readonly string[] },
    signal?: AbortSignal,
  ): Promise<Throttled> {
    const throttled = new Map<string, number>();
    for (let waitedMs = 0; canBeSent(request, throttled);) {
      const methods = [...request.methods, ...request.optional].filter((method) => !throttled.has(method));
      const found = new Map(
        methods.flatMap((method) => {
          const each = this.throttledMethods.get(method);
          return each ? [[method, each]] : [];
        }),
      );
      const { waits, claimed } = reserveCalls(found, performance.now());
      for (const [method, each] of claimed) this.throttledMethods.set(method, each);
      if (waits.size === 0) break;
      const { tooLong, pauseMs } = splitWaits(waits, waitedMs);
      for (const [method, waitMs] of tooLong) throttled.set(method, waitMs);
      if (tooLong.length > 0) continue;
      await sleep(pauseMs, signal);
      waitedMs += pauseMs;
    }
    return throttled;
  }

  /** @returns the ticket's number */
  private async takeTicket(priority: Priority, signal?: AbortSignal): Promise<number> {
    if (priority === 'interactive') return await this.acquireTicket(priority, signal);
    const asking = this.backgroundQueue(() => this.acquireTicket(priority, signal));
    return await unlessAborted(asking, signal).catch((error: unknown) => {
      void asking.then(
        (ticket) => this.release(ticket),
        () => undefined,
      );
      throw error;
    });
  }

  private async acquireTicket(priority: Priority, signal?: AbortSignal): Promise<number> {
    for (;;) {
      signal?.throwIfAborted();
      const { bucket, taken } = takeTicket(this.bucket, this.limit, priority, performance.now());
      this.bucket = bucket;
      if (taken.granted) return taken.ticket;
      await sleep(wakeAfter(taken.retryAfterMs), signal);
    }
  }

  private async awaitTicket(ticket: number, signal?: AbortSignal): Promise<void> {
    try {
      for (let waitMs = Infinity; waitMs > TRUSTED_WAIT_MS;) {
        signal?.throwIfAborted();
        const bucket = leakBucket(this.bucket, this.limit, performance.now());
        waitMs = ticketDelayMs(bucket, this.limit, ticket);
        if (waitMs > 0) await sleep(wakeAfter(waitMs), signal);
      }
    } catch (error) {
      this.release(ticket);
      throw error;
    }
  }

  private release(ticket: number): void {
    this.bucket = releaseTicket(this.bucket, ticket);
  }
}

function lowered(methods: readonly string[] = []): string[] {
  return [...new Set(methods.map((method) => method.toLowerCase()))];
}

/** At least one millisecond: a delay of a fraction of it must not cause a busy loop. */
function wakeAfter(ms: number): number {
  return Math.min(Math.max(ms, 1), MAX_SLEEP_MS);
}
