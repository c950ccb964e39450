interface BucketLimits {
  /** Y: the counter falls by it once a second. */
  rate: number;
  /** X: the highest value of the counter. */
  burst: number;
}

const SECOND_MS = 1000;

/**
 * A leaky bucket for the HTTP requests of one IP address at one portal (settings/performance/limits.md): each request
 * adds 1, the counter falls by Y in one step a second, and a request that would lift it above X is rejected. A rejected
 * request adds nothing.
 */
export class Bucket {
  private level = 0;

  constructor(
    private readonly limits: BucketLimits,
    private steppedAtMs: number,
  ) {}

  take(nowMs: number): boolean {
    this.leak(nowMs);
    if (this.level + 1 > this.limits.burst) return false;
    this.level += 1;
    return true;
  }

  private leak(nowMs: number): void {
    const steps = Math.floor((nowMs - this.steppedAtMs) / SECOND_MS);
    if (steps <= 0) return;
    this.level = Math.max(0, this.level - steps * this.limits.rate);
    this.steppedAtMs += steps * SECOND_MS;
  }
}

/** One bucket for each IP address: all applications on a server share it. */
export class Buckets {
  private readonly byAddress = new Map<string, Bucket>();

  constructor(private readonly limits: BucketLimits) {}

  take(address: string, nowMs: number): boolean {
    let bucket = this.byAddress.get(address);
    if (!bucket) this.byAddress.set(address, (bucket = new Bucket(this.limits, nowMs)));
    return bucket.take(nowMs);
  }
}
