const minuteMs = 60_000;
const baskets = 10;

export interface OperatingReading {
  /** Seconds, the sum of the last ten baskets. */
  operating: number;
  /** Unix seconds at which the oldest basket is left out; absent while nothing is counted. */
  operatingResetAt?: number;
}

interface Basket {
  startedAtMs: number;
  seconds: number;
}

/**
 * How long the methods of one application or webhook have run: ten one-minute baskets for each method, each
 * counted for ten minutes from the first call in it (settings/performance/limits.md).
 */
export class OperatingMeter {
  private readonly byMethod = new Map<string, Basket[]>();

  add(method: string, seconds: number, nowMs: number): OperatingReading {
    const counted = this.counted(method, nowMs);
    const latest = counted.at(-1);
    if (latest && nowMs - latest.startedAtMs < minuteMs) latest.seconds += seconds;
    else counted.push({ startedAtMs: nowMs, seconds });
    return this.read(method, nowMs);
  }

  read(method: string, nowMs: number): OperatingReading {
    const counted = this.counted(method, nowMs);
    const oldest = counted[0];
    if (!oldest) return { operating: 0 };
    return {
      operating: counted.reduce((sum, basket) => sum + basket.seconds, 0),
      operatingResetAt: Math.floor((oldest.startedAtMs + baskets * minuteMs) / 1000),
    };
  }

  private counted(method: string, nowMs: number): Basket[] {
    const all = this.byMethod.get(method) ?? [];
    const kept = all.filter((basket) => nowMs < basket.startedAtMs + baskets * minuteMs);
    this.byMethod.set(method, kept);
    return kept;
  }
}
