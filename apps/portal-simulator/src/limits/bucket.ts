export interface BucketLimits {
  /** Y: how much the counter falls, once a second. */
  rate: number;
  /** X: the counter's highest value. */
  burst: number;
}

const SECOND_MS = 1000;

/**
 * Counts the HTTP requests of one caller's IP address at one portal (settings/performance/limits.md): each
 * adds 1, the counter falls by Y in one step a second, and a request that would lift it above X is refused.
 * A refused request adds nothing.
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

/** One bucket per caller's IP address; every app on a server shares its. */
export class Buckets {
  private readonly byAddress = new Map<string, Bucket>();

  constructor(private readonly limits: BucketLimits) {}

  take(address: string, nowMs: number): boolean {
    let bucket = this.byAddress.get(address);
    if (!bucket) this.byAddress.set(address, (bucket = new Bucket(this.limits, nowMs)));
    return bucket.take(nowMs);
  }
}
