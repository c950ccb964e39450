import type { SharedBucket } from './limiter-queue.js';
import {
  type Bucket,
  emptyBucket,
  releaseTicket,
  leakBucket,
  throttleDown,
  type RateLimit,
  takeTicket,
  type Ticket,
  delayUntilTurn,
  DEFAULT_LIMIT,
} from './bucket.js';
import { reserveCalls, observeUsage, throttledOf, type ThrottledMethod } from './operating-time.js';
import type { MethodUsage, Priority } from './rate-limiter.js';
import { DistributedRateLimiter, type SharedOperatingTimes } from './distributed-rate-limiter.js';

/**
 * Rate limiter of one portal for a program that is one process and the only client of the portal from its address.
 * Several processes need a shared store: `DistributedRateLimiter` on their own `SharedBucket`.
 */
export class InMemoryRateLimiter extends DistributedRateLimiter {
  /** @param limit of the portal's plan */
  constructor(limit: RateLimit = DEFAULT_LIMIT) {
    super(new LocalBucket(limit), new LocalOperatingTimes());
  }
}

class LocalBucket implements SharedBucket {
  private bucket: Bucket = emptyBucket(performance.now());

  constructor(private readonly limit: RateLimit) {}

  take(work: Priority): Promise<Ticket> {
    const { bucket, taken } = takeTicket(this.bucket, this.limit, work, performance.now());
    this.bucket = bucket;
    return Promise.resolve(taken);
  }

  untilTurn(place: number): Promise<number> {
    return Promise.resolve(
      delayUntilTurn(leakBucket(this.bucket, this.limit, performance.now()), this.limit, place),
    );
  }

  giveBack(place: number): Promise<void> {
    this.bucket = releaseTicket(this.bucket, place);
    return Promise.resolve();
  }

  lower(): Promise<void> {
    this.bucket = throttleDown(this.bucket, this.limit, performance.now());
    return Promise.resolve();
  }
}

class LocalOperatingTimes implements SharedOperatingTimes {
  private readonly slowed = new Map<string, ThrottledMethod>();

  paused(methods: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return Promise.resolve(throttledOf(this.of(methods), performance.now()));
  }

  claim(methods: readonly string[]): Promise<number> {
    const { claimed, waitMs } = reserveCalls(this.of(methods), performance.now());
    for (const [method, slowed] of claimed) this.slowed.set(method, slowed);
    return Promise.resolve(waitMs);
  }

  observe(usage: readonly MethodUsage[]): Promise<void> {
    for (const bill of usage) {
      const slowed = observeUsage(this.slowed.get(bill.method), bill, performance.now());
      if (slowed) this.slowed.set(bill.method, slowed);
      else this.slowed.delete(bill.method);
    }
    return Promise.resolve();
  }

  private of(methods: readonly string[]): Map<string, ThrottledMethod> {
    return new Map(
      methods.flatMap((method) => {
        const slowed = this.slowed.get(method);
        return slowed ? [[method, slowed]] : [];
      }),
    );
  }
}
