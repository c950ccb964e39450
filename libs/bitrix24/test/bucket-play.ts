import fc from 'fast-check';
import {
  type Bucket,
  emptyBucket,
  ENTERPRISE_LIMIT,
  releaseTicket,
  type RateLimit,
  takeTicket,
  DEFAULT_LIMIT,
} from '../src/rate-limit/bucket.js';
import type { Priority } from '../src/rate-limit/rate-limiter.js';

/** Bitrix24's counter: rejects above X, subtracts Y in one step a second, at its own phase (`limits.md`). */
export class Counter {
  rejections = 0;
  highest = 0;
  private level = 0;
  private steppedAtMs: number;

  constructor(
    private readonly limit: RateLimit,
    phaseMs: number,
  ) {
    this.steppedAtMs = -phaseMs;
  }

  arrive(atMs: number): boolean {
    const steps = Math.floor((atMs - this.steppedAtMs) / 1_000);
    this.steppedAtMs += steps * 1_000;
    this.level = Math.max(0, this.level - steps * this.limit.rate);
    if (this.level + 1 > this.limit.burst) {
      this.rejections += 1;
      return false;
    }
    this.level += 1;
    this.highest = Math.max(this.highest, this.level);
    return true;
  }
}

export const limits = fc.oneof(
  fc.constant(DEFAULT_LIMIT),
  fc.constant(ENTERPRISE_LIMIT),
  fc
    .record({ rate: fc.integer({ min: 1, max: 20 }), times: fc.integer({ min: 3, max: 40 }) })
    .map(({ rate, times }): RateLimit => ({ rate, burst: rate * times })),
);
const anyPriority = fc.constantFrom<Priority>('interactive', 'background');
/** A client: its pause after the previous one, the network delay of its request, whether it aborts. */
export const asker = fc.record({
  afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 20_000 })),
  priority: anyPriority,
  lateMs: fc.oneof(fc.constant(0), fc.constant(1_000), fc.integer({ min: 0, max: 1_000 })),
  givesUp: fc.oneof(
    { weight: 9, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
});

export interface Sent {
  priority: Priority;
  askedAtMs: number;
  sentAtMs: number;
}

/** Runs every client against one bucket, in order of time, as many processes would. */
export function play(
  limit: RateLimit,
  askers: readonly { afterMs: number; priority: Priority; lateMs?: number; givesUp?: boolean }[],
): { sent: (Sent & { lateMs: number })[]; bucket: Bucket } {
  let bucket = emptyBucket(0);
  const sent: (Sent & { lateMs: number })[] = [];
  let nowMs = 0;
  const due: { atMs: number; askedAtMs: number; priority: Priority; lateMs: number; givesUp: boolean }[] = [];
  for (const { afterMs, priority: kind, lateMs = 0, givesUp = false } of askers) {
    nowMs += afterMs;
    due.push({ atMs: nowMs, askedAtMs: nowMs, priority: kind, lateMs, givesUp });
  }
  while (due.length > 0) {
    // The earliest; among equals the first.
    const next = due.reduce((first, each) => (each.atMs < first.atMs ? each : first));
    due.splice(due.indexOf(next), 1);
    const asked = takeTicket(bucket, limit, next.priority, next.atMs);
    bucket = asked.bucket;
    if (!asked.taken.granted) due.push({ ...next, atMs: next.atMs + Math.max(asked.taken.retryAfterMs, 1) });
    else if (next.givesUp) bucket = releaseTicket(bucket, asked.taken.ticket);
    else sent.push({ ...next, sentAtMs: next.atMs + asked.taken.waitMs });
  }
  return { sent, bucket };
}

/** `count` concurrent requests of one priority. */
export function flood(count: number, priority: Priority): { afterMs: number; priority: Priority }[] {
  return Array.from({ length: count }, () => ({ afterMs: 0, priority }));
}
