/** How long a portal's lane collects events before its next batch, in milliseconds since the last batch began. */
export interface AdaptiveBatching {
  /** After the first batch of a lane that was idle. */
  firstMs: number;
  /** Doubled from batch to batch while the lane does not become idle, up to this. */
  maxMs: number;
  /** Upper bound, plus `lingerPerEntryMs` for each waiting entry: what a portal needs for them without a burst. */
  lingerMs: number;
  lingerPerEntryMs: number;
}

/** Two requests per second, one to read and one for fifty writes (`settings/performance/limits.md`). */
export const DEFAULT_BATCHING: AdaptiveBatching = {
  firstMs: 200,
  maxMs: 4_000,
  lingerMs: 500,
  lingerPerEntryMs: 10,
};

/**
 * Adaptive linger, like Kafka's `linger.ms`: under a steady flow, more events in fewer batches. Each batch costs the
 * portal one read request and one write request even when not full, and a flood would spend the whole burst allowance
 * on batches of thirty. Events for an idle lane, or after a batch that took longer than the linger, do not wait.
 */
export class BatchLinger {
  private readonly intervals = new Map<string, number>();

  constructor(private readonly batching: AdaptiveBatching) {}

  /** Milliseconds that the lane still has to wait; 0 when its next batch may begin. */
  remainingMs(memberId: string, sinceBatchMs: number, pending: number): number {
    const { lingerMs, lingerPerEntryMs } = this.batching;
    const interval = Math.min(this.intervalOf(memberId), lingerMs + lingerPerEntryMs * pending);
    return Math.max(0, interval - sinceBatchMs);
  }

  /** The lane has finished a batch, with more work or idle. */
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

/**
 * Limits how long lanes wait for a portal that is throttled or down. No lane waits longer than the budget in total:
 * RabbitMQ gives a shard to another process only when this one has settled all of it.
 */
export class WaitBudget {
  /** By portal, in milliseconds: since when its lane has waited without a batch that got through. */
  private readonly sinceByPortal = new Map<string, number>();

  constructor(readonly maxMs: number) {}

  since(memberId: string): number | undefined {
    return this.sinceByPortal.get(memberId);
  }

  /** Whether the lane may wait this long on top of what it has waited; else its wait in this process ends. */
  extend(memberId: string, waitMs: number, now: number): boolean {
    const since = this.sinceByPortal.get(memberId) ?? now;
    const mayWait = now + waitMs - since <= this.maxMs;
    if (mayWait) this.sinceByPortal.set(memberId, since);
    else this.sinceByPortal.delete(memberId);
    return mayWait;
  }

  end(memberId: string): void {
    this.sinceByPortal.delete(memberId);
  }
}

/** Cool-down timers of lanes: one for each lane, whatever waits in it. */
export class LaneTimers {
  private readonly ends = new Map<string, () => void>();

  /**
   * @param remainingMs called at once and whenever the returned time has passed: 0 when the cool-down is over
   * @param onEnd called once, also when `end` comes first
   */
  start(memberId: string, remainingMs: () => number, onEnd: () => void): void {
    let timer: NodeJS.Timeout | undefined;
    const end = (): void => {
      clearTimeout(timer);
      this.ends.delete(memberId);
      onEnd();
    };
    const check = (): void => {
      const ms = remainingMs();
      if (ms > 0) timer = setTimeout(check, ms);
      else end();
    };
    this.ends.set(memberId, end);
    check();
  }

  end(memberId: string): void {
    this.ends.get(memberId)?.();
  }

  endAll(): void {
    for (const end of this.ends.values()) end();
  }
}
