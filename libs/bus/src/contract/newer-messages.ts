import type { Log } from '@relay/platform';
import { newerTotal } from './instrumentation.js';

/** The failure code of a message that waits for the upgrade. */
export const NEWER_CODE = 'unknown-version';

/** During a rolling update another process may be able to read it within seconds. */
const MIN_DELAY_MS = 5_000;
/** After a rollback it takes hours, and a long queue of such messages must not use up a process's time. */
const MAX_DELAY_MS = 10 * 60_000;
/** A message that has not come back for this long has been read by another process. */
const FORGET_AFTER_MS = 2 * MAX_DELAY_MS;
const MAX_REMEMBERED = 100_000;
const REMIND_MS = 10 * 60_000;

/**
 * Messages written by a newer version that reach this process after a rollback. Each is deferred with its attempts and
 * history unchanged, and redelivered until a process can read it.
 */
export class NewerMessages {
  /** By id, in the order of their last delivery. */
  private readonly known = new Map<string, { firstAt: number; lastAt: number }>();
  private warnedAt = -Infinity;

  constructor(
    private readonly consumer: string,
    private readonly log: Log,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Records one delivery. @returns the delay in milliseconds; it grows with the time that the message has waited */
  note(id: string): number {
    newerTotal.inc({ consumer: this.consumer });
    const now = this.now();
    const firstAt = this.known.get(id)?.firstAt ?? now;
    this.known.delete(id);
    this.known.set(id, { firstAt, lastAt: now });
    const [oldest] = this.known.keys();
    if (this.known.size > MAX_REMEMBERED && oldest !== undefined) this.known.delete(oldest);
    this.warn(now);
    return Math.min(Math.max(MIN_DELAY_MS, (now - firstAt) / 2), MAX_DELAY_MS);
  }

  /** How many are waiting, as far as this process has seen them. */
  get count(): number {
    for (const [id, { lastAt }] of this.known) {
      if (this.now() - lastAt < FORGET_AFTER_MS) break;
      this.known.delete(id);
    }
    return this.known.size;
  }

  private warn(now: number): void {
    if (now - this.warnedAt < REMIND_MS) return;
    this.warnedAt = now;
    this.log.warn(
      { event: 'bus.messages.newer', consumer: this.consumer },
      'messages of a newer version wait: they are redelivered until an upgraded process reads them',
    );
  }
}
