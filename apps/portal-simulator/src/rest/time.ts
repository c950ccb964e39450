import { performance } from 'node:perf_hooks';
import type { OperatingReading } from '../limits/operating.js';
import type { Values } from '../protocol/php.js';
import { formatTimestamp } from '../protocol/timestamp.js';

/** What time it is for one HTTP request: the simulator's own time when it came, and finely on from there. */
export class RequestClock {
  private readonly mark = performance.now();

  constructor(readonly arrivedMs: number) {}

  /** Milliseconds with a fraction. */
  nowMs(): number {
    return this.arrivedMs + performance.now() - this.mark;
  }
}

/**
 * `time` of an answer that ends now (api-reference/data-types.md#time). Without `reading` the portal counts no
 * operating time, as one on premise.
 */
export function timeOf(clock: RequestClock, startedMs: number, reading?: OperatingReading): Values {
  const finishedMs = clock.nowMs();
  return {
    start: startedMs / 1000,
    finish: finishedMs / 1000,
    duration: (finishedMs - startedMs) / 1000,
    processing: (finishedMs - startedMs) / 1000,
    date_start: formatTimestamp(startedMs),
    date_finish: formatTimestamp(finishedMs),
    ...(reading && { operating_reset_at: reading.operatingResetAt, operating: reading.operating }),
  };
}
