const MINUTE_MS = 60_000;
const LIFETIME_MS = 10 * MINUTE_MS;

/**
 * What is shorter is not counted: the answers in the documentation show an `operating` of 0 after 0.08 seconds of
 * `processing` and one of 0.13 after 0.13 (the published `rest` module: `$minimalFixTime`).
 */
const MIN_SECONDS = 0.1;

export interface OperatingReading {
  /** Seconds, the sum of all baskets. */
  operating: number;
  /** Unix seconds at which the oldest basket is left out; ten minutes from now while nothing is counted. */
  operatingResetAt: number;
}

/** The calls of one minute by the clock. */
interface Basket {
  minute: number;
  /** Ten minutes after the first call in it. */
  resetAtMs: number;
  seconds: number;
}

/**
 * How long the methods of one application or webhook have run: one-minute baskets for each method, each counted for
 * ten minutes from the first call in it (settings/performance/limits.md).
 */
export class OperatingMeter {
  private readonly byMethod = new Map<string, Basket[]>();

  /** One HTTP request: what its calls take is added up method by method and counted when it ends. */
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

/** What one HTTP request has used up so far: a `batch` calls many methods, some of them many times. */
export class OperatingRequest {
  /** `seen` is what the answers tell before the request has ended: its longer calls only. */
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
