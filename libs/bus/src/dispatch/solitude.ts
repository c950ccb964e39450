import { setTimeout as sleep } from 'node:timers/promises';
import { waitAtMost } from '../backoff.js';
import { deferred } from '../deferred.js';

/** Lets many work side by side, or one alone. */
export class Solitude {
  readonly #beside = new Set<Promise<unknown>>();
  /** The one that works alone, and those that wait to. */
  #alone: Promise<void>[] = [];

  /**
   * @param patienceMs who wants to be alone does not wait longer than this for what is under way, which may hang; nor
   * do the others wait longer for who is alone
   */
  constructor(private readonly patienceMs: number) {}

  /** Somebody works alone, or waits to: nothing else should begin. */
  get isWanted(): boolean {
    return this.#alone.length > 0;
  }

  /** Works beside others, when nobody is alone. */
  async beside<T>(work: () => Promise<T>): Promise<T> {
    while (this.isWanted) await this.#alone.at(-1);
    const working = work();
    const noted = working.finally(() => this.#beside.delete(noted));
    this.#beside.add(noted);
    // Whoever called has the error; here it is only noted that it has ended.
    noted.catch(() => undefined);
    return working;
  }

  /** Works when all that is under way has ended, one after the other. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    const { working } = await this.#begunAlone(work);
    return working;
  }

  /** Resolves when the others may work again. */
  async #begunAlone<T>(work: () => Promise<T>): Promise<{ working: Promise<T> }> {
    const before = this.#alone.at(-1);
    const mine = deferred<void>();
    this.#alone.push(mine.promise);
    try {
      await before;
      await waitAtMost(Promise.allSettled(this.#beside), this.patienceMs);
      const working = work();
      // Only a wait: it must not keep a process that has nothing else to do from ending.
      const isEnough = sleep(this.patienceMs, undefined, { ref: false });
      await Promise.race([Promise.allSettled([working]), isEnough]);
      return { working };
    } finally {
      this.#alone = this.#alone.filter((promise) => promise !== mine.promise);
      mine.resolve();
    }
  }
}
