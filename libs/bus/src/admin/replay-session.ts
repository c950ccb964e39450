import { setTimeout as sleep } from 'node:timers/promises';
import type { DeadLetterReader } from './dead-letter-store.js';
import type { AcquiredLock } from './operator-lock.js';

export interface ReplayOptions {
  /** Dead letters per second. */
  rate: number;
  /** Maximum dead letters in this page; the client asks for no further page after it. */
  limit: number;
  /** Approximate maximum duration of the page, in milliseconds. */
  forMs: number;
}

export interface ReplayPage {
  /** Dead letters replayed or dropped. */
  deadLetters: number;
  /** No match is left; else the next page continues. */
  done: boolean;
  /** False: there are more dead letters than one scan examines. */
  complete: boolean;
}

/**
 * A lock is held in an open transaction, which PostgreSQL's vacuum waits for, and dead letters are held unacknowledged,
 * which RabbitMQ ends after 30 minutes.
 */
const MAX_SESSION_MS = 5 * 60_000;

/**
 * One replay over any number of pages. Between them it keeps the operator lock and the reader, so that each letter is
 * read once, however many pages there are.
 */
export class ReplaySession {
  private readonly openedAt = performance.now();
  private canContinue = false;

  constructor(
    private readonly lock: AcquiredLock,
    private readonly reader: DeadLetterReader,
  ) {}

  get unacknowledged(): number {
    return this.reader.unacknowledged;
  }

  async page({ rate, limit, forMs }: ReplayOptions, onReplayed: (id: string) => void): Promise<ReplayPage> {
    const { reader } = this;
    this.canContinue = false;
    const rateLimiter = new ReplayRateLimiter(rate);
    const deadline = performance.now() + forMs;
    let deadLetters = 0;
    while (deadLetters < limit && performance.now() < deadline) {
      if ((await reader.find(deadline)) !== 'found') break;
      await rateLimiter.admit();
      const id = await reader.replay();
      if (id === undefined) continue;
      deadLetters += 1;
      onReplayed(id);
    }
    // The following page keeps the rate of this one.
    await rateLimiter.idle();
    const next = await reader.find(performance.now());
    this.canContinue = (next === 'found' || next === 'not yet') && deadLetters < limit;
    return { deadLetters, done: next === 'end', complete: reader.complete };
  }

  /** Whether a next page may use it: it is not at its end, and nobody waits for its lock. */
  async isUsable(): Promise<boolean> {
    if (!this.canContinue || this.reader.isLost) return false;
    if (performance.now() - this.openedAt >= MAX_SESSION_MS) return false;
    return !(await this.lock.isWanted().catch(() => true));
  }

  /** The dead letters return before the next operator reads them. */
  async close(): Promise<void> {
    try {
      await this.reader.close();
    } finally {
      await this.lock.release();
    }
  }
}

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
