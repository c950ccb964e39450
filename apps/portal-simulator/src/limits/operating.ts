const MINUTE_MS = 60_000;
const LIFETIME_MS = 10 * MINUTE_MS;

/**
 * Shorter calls are not counted: the documentation shows an `operating` of 0 after 0.08 seconds of `processing` and one
 * of 0.13 after 0.13 (the published `rest` module: `$minimalFixTime`).
 */
const MIN_SECONDS = 0.1;

export interface OperatingReading {
  /** The sum of all baskets, in seconds. */
  operating: number;
  /** Unix seconds at which the oldest basket expires; ten minutes from now if there is none. */
  operatingResetAt: number;
}

/** The calls of one clock minute. */
interface Basket {
  minute: number;
  /** Ten minutes after its first call. */
  resetAtMs: number;
  seconds: number;
}

/**
 * The operating time of one application or webhook: one-minute baskets for each method, each counted for ten minutes
 * from its first call (settings/performance/limits.md).
 */
export class OperatingMeter {
  private readonly byMethod = new Map<string, Basket[]>();

  /** Starts an HTTP request: the time of its calls is summed by method and counted when it ends. */
  request(nowMs: number): OperatingRequest {
    return new OperatingRequest(this, nowMs);
  }

  seconds(method: string, nowMs: number): number {
    return this.counted(method, nowMs).reduce((sum, { seconds }) => sum + seconds, 0);
  }

  resetAtMs(method: string, nowMs: number): number {
    return this.counted(method, nowMs)[0]?.resetAtMs ?? nowMs + LIFETIME_MS;
  }

  add(method: string, seconds: number, nowMs: number): void {
    const counted = this.counted(method, nowMs);
    const minute = Math.floor(nowMs / MINUTE_MS);
    const latest = counted.at(-1);
    if (latest?.minute === minute) latest.seconds += seconds;
    else counted.push({ minute, resetAtMs: nowMs + LIFETIME_MS, seconds });
  }

  private counted(method: string, nowMs: number): Basket[] {
    const all = this.byMethod.get(method);
    if (all?.every(({ resetAtMs }) => nowMs < resetAtMs)) return all;
    const kept = all?.filter(({ resetAtMs }) => nowMs < resetAtMs) ?? [];
    this.byMethod.set(method, kept);
    return kept;
  }
}

/** The operating time of one HTTP request so far: a `batch` calls many methods. */
export class OperatingRequest {
  /** `seen` is the part that responses show before the request ends: its longer calls only. */
  private readonly used = new Map<string, { all: number; seen: number }>();

  constructor(
    private readonly meter: OperatingMeter,
    private readonly nowMs: number,
  ) {}

  read(method: string): OperatingReading {
    return {
      operating: this.meter.seconds(method, this.nowMs) + (this.used.get(method)?.seen ?? 0),
      operatingResetAt: Math.floor(this.meter.resetAtMs(method, this.nowMs) / 1000),
    };
  }

  add(method: string, seconds: number): void {
    const used = this.used.get(method) ?? { all: 0, seen: 0 };
    used.all += seconds;
    if (seconds > MIN_SECONDS) used.seen += seconds;
    this.used.set(method, used);
  }

  end(): void {
    for (const [method, { all }] of this.used) {
      if (all > MIN_SECONDS) this.meter.add(method, all, this.nowMs);
    }
  }
}
