import { setTimeout as sleep } from 'node:timers/promises';
import { waitAtMost } from '../backoff.js';
import { deferred } from '../deferred.js';

/** Lets many work side by side, or one alone. */
export class ExclusiveGate {
  private readonly sharedWork = new Set<Promise<unknown>>();
  /** The one that works alone, and those that wait to. */
  private exclusiveQueue: Promise<void>[] = [];

  /**
   * @param timeoutMs who wants to be alone does not wait longer than this for what is under way, which may hang; nor
   * do the others wait longer for who is alone
   */
  constructor(private readonly timeoutMs: number) {}

  /** Somebody works alone, or waits to: nothing else should begin. */
  get isExclusive(): boolean {
    return this.exclusiveQueue.length > 0;
  }

  /** Works beside others, when nobody is alone. */
  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.isExclusive) await this.exclusiveQueue.at(-1);
    const working = work();
    const noted = working.finally(() => this.sharedWork.delete(noted));
    this.sharedWork.add(noted);
    // Whoever called has the error; here it is only noted that it has ended.
    noted.catch(() => undefined);
    return working;
  }

  /** Works when all that is under way has ended, one after the other. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    const { working } = await this.beginExclusive(work);
    return working;
  }

  /** Resolves when the others may work again. */
  private async beginExclusive<T>(work: () => Promise<T>): Promise<{ working: Promise<T> }> {
    const before = this.exclusiveQueue.at(-1);
    const mine = deferred<void>();
    this.exclusiveQueue.push(mine.promise);
    try {
      await before;
      await waitAtMost(Promise.allSettled(this.sharedWork), this.timeoutMs);
      const working = work();
      // Only a wait: it must not keep a process that has nothing else to do from ending.
      const isEnough = sleep(this.timeoutMs, undefined, { ref: false });
      await Promise.race([Promise.allSettled([working]), isEnough]);
      return { working };
    } finally {
      this.exclusiveQueue = this.exclusiveQueue.filter((promise) => promise !== mine.promise);
      mine.resolve();
    }
  }
}
