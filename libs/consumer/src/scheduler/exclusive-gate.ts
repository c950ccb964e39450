import { waitAtMost, deferred } from '@relay/platform';
import { setTimeout as sleep } from 'node:timers/promises';

/** A readers–writer lock with timeouts: many shared runs at once, or one exclusive run. */
export class ExclusiveGate {
  private readonly sharedWork = new Set<Promise<unknown>>();
  /** The exclusive run, and those that wait for theirs. */
  private exclusiveQueue: Promise<void>[] = [];

  /**
   * @param timeoutMs maximum time an exclusive run waits for running work, which may hang, and maximum time shared
   * runs wait for an exclusive one
   */
  constructor(private readonly timeoutMs: number) {}

  /** An exclusive run is active or waiting: nothing else should begin. */
  get isExclusive(): boolean {
    return this.exclusiveQueue.length > 0;
  }

  /** Runs together with other shared work, while no exclusive run is active. */
  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.isExclusive) await this.exclusiveQueue.at(-1);
    const working = work();
    const noted = working.finally(() => this.sharedWork.delete(noted));
    this.sharedWork.add(noted);
    // The caller handles the error; here only the end is tracked.
    noted.catch(() => undefined);
    return working;
  }

  /** Runs when everything that is running has ended; exclusive runs follow one another. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    const { working } = await this.beginExclusive(work);
    return working;
  }

  /** Resolves when shared work may run again. */
  private async beginExclusive<T>(work: () => Promise<T>): Promise<{ working: Promise<T> }> {
    const before = this.exclusiveQueue.at(-1);
    const mine = deferred<void>();
    this.exclusiveQueue.push(mine.promise);
    try {
      await before;
      await waitAtMost(Promise.allSettled(this.sharedWork), this.timeoutMs);
      const working = work();
      // Only a timeout: it must not keep an otherwise idle process alive.
      const isEnough = sleep(this.timeoutMs, undefined, { ref: false });
      await Promise.race([Promise.allSettled([working]), isEnough]);
      return { working };
    } finally {
      this.exclusiveQueue = this.exclusiveQueue.filter((promise) => promise !== mine.promise);
      mine.resolve();
    }
  }
}
