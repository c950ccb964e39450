import type { SharedBucket } from './bucket-line.js';
import {
  type Bucket,
  emptyBucket,
  giveBackPlace,
  leakBucket,
  lowerBucket,
  type RateLimit,
  takePlace,
  type Taken,
  untilTurn,
  usualLimit,
} from './bucket.js';
import { claimCalls, observeUsage, pausedOf, type SlowedMethod } from './operating-time.js';
import type { MethodUsage, Work } from './pace.js';
import { SharedPace, type SharedOperatingTimes } from './shared-pace.js';

/**
 * One portal's limits for a program that is one process, and the only one that calls the portal from its address.
 * Several processes need a common store: `SharedPace` on their own `SharedBucket`.
 */
export class LocalPace extends SharedPace {
  /** @param limit that of the portal's plan */
  constructor(limit: RateLimit = usualLimit) {
    super(new LocalBucket(limit), new LocalOperatingTimes());
  }
}

class LocalBucket implements SharedBucket {
  #bucket: Bucket = emptyBucket(performance.now());

  constructor(private readonly limit: RateLimit) {}

  take(work: Work): Promise<Taken> {
    const { bucket, taken } = takePlace(this.#bucket, this.limit, work, performance.now());
    this.#bucket = bucket;
    return Promise.resolve(taken);
  }

  untilTurn(place: number): Promise<number> {
    return Promise.resolve(
      untilTurn(leakBucket(this.#bucket, this.limit, performance.now()), this.limit, place),
    );
  }

  giveBack(place: number): Promise<void> {
    this.#bucket = giveBackPlace(this.#bucket, place);
    return Promise.resolve();
  }

  lower(): Promise<void> {
    this.#bucket = lowerBucket(this.#bucket, this.limit, performance.now());
    return Promise.resolve();
  }
}

class LocalOperatingTimes implements SharedOperatingTimes {
  readonly #slowed = new Map<string, SlowedMethod>();

  paused(methods: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return Promise.resolve(pausedOf(this.#of(methods), performance.now()));
  }

  claim(methods: readonly string[]): Promise<number> {
    const { claimed, waitMs } = claimCalls(this.#of(methods), performance.now());
    for (const [method, slowed] of claimed) this.#slowed.set(method, slowed);
    return Promise.resolve(waitMs);
  }

  observe(usage: readonly MethodUsage[]): Promise<void> {
    for (const bill of usage) {
      const slowed = observeUsage(this.#slowed.get(bill.method), bill, performance.now());
      if (slowed) this.#slowed.set(bill.method, slowed);
      else this.#slowed.delete(bill.method);
    }
    return Promise.resolve();
  }

  #of(methods: readonly string[]): Map<string, SlowedMethod> {
    return new Map(
      methods.flatMap((method) => {
        const slowed = this.#slowed.get(method);
        return slowed ? [[method, slowed]] : [];
      }),
    );
  }
}
