import { LRUCache } from 'lru-cache';

interface Bucket {
  stock: number;
  atMs: number;
}

/**
 * A token bucket for each key, in the memory of this process. The least recently used keys are forgotten, which fills their
 * buckets.
 */
export class RequestBudget {
  private readonly buckets: LRUCache<string, Bucket>;

  /** @param perSecond may be a fraction */
  constructor(
    private readonly burst: number,
    private readonly perSecond: number,
    maxKeys: number,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.buckets = new LRUCache({ max: maxKeys });
  }

  /** @returns false if the bucket of this key has not so many; then nothing is taken */
  take(key: string, count = 1): boolean {
    const bucket = this.filled(key);
    if (bucket.stock < count) return false;
    bucket.stock -= count;
    return true;
  }

  /** What was taken turned out to cost nothing. */
  refund(key: string): void {
    const bucket = this.filled(key);
    bucket.stock = Math.min(this.burst, bucket.stock + 1);
  }

  private filled(key: string): Bucket {
    const nowMs = this.now();
    const known = this.buckets.get(key);
    const stock =
      known === undefined
        ? this.burst
        : Math.min(this.burst, known.stock + ((nowMs - known.atMs) / 1_000) * this.perSecond);
    const bucket = { stock, atMs: nowMs };
    this.buckets.set(key, bucket);
    return bucket;
  }
}
