import { setTimeout as sleep } from 'node:timers/promises';

/** Timers are late by a millisecond or more; this much is made up for, a longer stall is not. */
const SLACK_MS = 100;

/** Allows `rate` steps per second, the first at once. */
export class ReplayRateLimiter {
  private nextAt: number;

  constructor(
    private readonly rate: number,
    private readonly now: () => number = () => performance.now(),
    private readonly wait: (ms: number) => Promise<unknown> = sleep,
  ) {
    this.nextAt = now();
  }

  async admit(): Promise<void> {
    await this.idle();
    this.nextAt = Math.max(this.nextAt, this.now() - SLACK_MS) + 1_000 / this.rate;
  }

  /** Waits until the next step is due, without taking it. */
  async idle(): Promise<void> {
    const waitMs = this.nextAt - this.now();
    if (waitMs > 0) await this.wait(waitMs);
  }
}
