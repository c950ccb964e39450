/** How long a portal's lane gathers events before its next batch: milliseconds since the last one began. */
export interface AdaptiveBatching {
  /** After the first batch of a lane that was idle. */
  firstMs: number;
  /** Doubled from batch to batch while the lane does not become idle, up to this. */
  maxMs: number;
  /** Never longer than this, and this for each entry that waits: what a portal needs for them, if it gives no burst. */
  lingerMs: number;
  lingerPerEntryMs: number;
}

/** Two requests a second, one to read, and one for fifty writes (`settings/performance/limits.md`). */
export const DEFAULT_BATCHING: AdaptiveBatching = {
  firstMs: 200,
  maxMs: 4_000,
  lingerMs: 500,
  lingerPerEntryMs: 10,
};

/**
 * When events keep coming, more of them in fewer batches: each batch costs the portal a request to read and one that
 * is not full to write, and a flood would spend the whole burst on batches of thirty. What comes to an idle lane, or
 * after a batch that took longer, does not wait.
 */
export class BatchLinger {
  private readonly intervals = new Map<string, number>();

  constructor(private readonly batching: AdaptiveBatching) {}

  /** Milliseconds for which the lane is to be left alone; 0 when its next batch may begin. */
  remainingMs(memberId: string, sinceBatchMs: number, pending: number): number {
    const { lingerMs, lingerPerEntryMs } = this.batching;
    const interval = Math.min(this.intervalOf(memberId), lingerMs + lingerPerEntryMs * pending);
    return Math.max(0, interval - sinceBatchMs);
  }

  /** The lane is free again, with work or idle. */
  released(memberId: string, hasWork: boolean): void {
    if (hasWork) {
      this.intervals.set(memberId, Math.min(this.intervalOf(memberId) * 2, this.batching.maxMs));
    } else {
      this.intervals.delete(memberId);
    }
  }

  private intervalOf(memberId: string): number {
    return this.intervals.get(memberId) ?? this.batching.firstMs;
  }
}
