import { setTimeout as sleep } from 'node:timers/promises';

/** Timers are late by a millisecond or more; so much is made up for, a longer stall is not. */
const slackMs = 100;

/** Lets `rate` steps a second through, the first at once. */
export class Pace {
  #nextAt: number;

  constructor(
    private readonly rate: number,
    private readonly now: () => number = () => performance.now(),
    private readonly wait: (ms: number) => Promise<unknown> = sleep,
  ) {
    this.#nextAt = now();
  }

  async next(): Promise<void> {
    await this.rest();
    this.#nextAt = Math.max(this.#nextAt, this.now() - slackMs) + 1_000 / this.rate;
  }

  /** Until the next step is due, without taking it. */
  async rest(): Promise<void> {
    const waitMs = this.#nextAt - this.now();
    if (waitMs > 0) await this.wait(waitMs);
  }
}
