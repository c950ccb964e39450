import type { Log } from '@relay/platform';
import { newerTotal } from './metrics.js';

/** The code beside a message that waits for the upgrade. */
export const NEWER_CODE = 'unknown-version';

/** While versions are replaced one by one, a sibling or a successor can read it within seconds. */
const SOONEST_MS = 5_000;
/** After a rollback it takes hours, and a long queue of them must take no part of a process's time. */
const LATEST_MS = 10 * 60_000;
/** One that has not come for so long has been read by somebody else. */
const FORGET_AFTER_MS = 2 * LATEST_MS;
const MAX_REMEMBERED = 100_000;
const SAY_AGAIN_MS = 10 * 60_000;

/**
 * The messages that a newer version wrote, and that came to this process after a rollback: each goes back, with its attempts
 * and its history as they were, and comes again until a process can read it.
 */
export class NewerMessages {
  /** By id, in the order in which they came last. */
  private readonly known = new Map<string, { firstAt: number; lastAt: number }>();
  private saidAt = -Infinity;

  constructor(
    private readonly consumer: string,
    private readonly log: Log,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** One has come. @returns after how many milliseconds it is to come again: the longer it has waited, the later */
  note(id: string): number {
    newerTotal.inc({ consumer: this.consumer });
    const now = this.now();
    const firstAt = this.known.get(id)?.firstAt ?? now;
    this.known.delete(id);
    this.known.set(id, { firstAt, lastAt: now });
    const [oldest] = this.known.keys();
    if (this.known.size > MAX_REMEMBERED && oldest !== undefined) this.known.delete(oldest);
    this.say(now);
    return Math.min(Math.max(SOONEST_MS, (now - firstAt) / 2), LATEST_MS);
  }

  /** How many wait, as far as this process has seen them. */
  get count(): number {
    for (const [id, { lastAt }] of this.known) {
      if (this.now() - lastAt < FORGET_AFTER_MS) break;
      this.known.delete(id);
    }
    return this.known.size;
  }

  private say(now: number): void {
    if (now - this.saidAt < SAY_AGAIN_MS) return;
    this.saidAt = now;
    this.log.warn(
      { consumer: this.consumer },
      'messages of a newer version wait: they come again until an upgraded process reads them',
    );
  }
}
