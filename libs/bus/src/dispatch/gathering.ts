/** How long a portal's lane gathers events before its next batch: milliseconds since the last one began. */
export interface Gathering {
  /** After the first batch of a lane that was idle. */
  firstMs: number;
  /** Doubled from batch to batch while the lane does not become idle, up to this. */
  mostMs: number;
  /** Never longer than this, and this for each entry that waits: what a portal needs for them, if it gives no burst. */
  aloneMs: number;
  eachMs: number;
}

/** Two requests a second, one to read, and one for fifty writes (`settings/performance/limits.md`). */
export const usualGathering: Gathering = { firstMs: 200, mostMs: 4_000, aloneMs: 500, eachMs: 10 };

/**
 * When events keep coming, more of them in fewer batches: each batch costs the portal a request to read and one that
 * is not full to write, and a flood would spend the whole burst on batches of thirty. What comes to an idle lane, or
 * after a batch that took longer, does not wait.
 */
export class GatheringTimes {
  readonly #intervals = new Map<string, number>();

  constructor(private readonly gathering: Gathering) {}

  /** Milliseconds for which the lane is to be left alone; 0 when its next batch may begin. */
  restMs(memberId: string, sinceBatchMs: number, pending: number): number {
    const { aloneMs, eachMs } = this.gathering;
    const interval = Math.min(this.#intervalOf(memberId), aloneMs + eachMs * pending);
    return Math.max(0, interval - sinceBatchMs);
  }

  /** The lane is free again, with work or idle. */
  released(memberId: string, hasWork: boolean): void {
    if (hasWork) {
      this.#intervals.set(memberId, Math.min(this.#intervalOf(memberId) * 2, this.gathering.mostMs));
    } else {
      this.#intervals.delete(memberId);
    }
  }

  #intervalOf(memberId: string): number {
    return this.#intervals.get(memberId) ?? this.gathering.firstMs;
  }
}
