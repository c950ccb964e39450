import {
  reserveCalls,
  isBelowThreshold,
  type MethodUsage,
  observeUsage,
  throttledOf,
  type SharedOperatingTimes,
  type ThrottledMethod,
} from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { changeThrottled, readAllThrottled, type ThrottledMethods } from './throttled-methods.js';

/** Maximum age of the cached throttled methods of all portals. */
const FRESH_FOR_MS = 1_000;

/**
 * Operating time of the methods of all portals, shared by all processes. Only a method near its limit has a row, so all
 * rows are read in one query, at most once a second, and most responses cause no write.
 */
export class DatabaseOperatingTimes {
  #known = new Map<string, ThrottledMethods>();
  /** Offset from this process's clock to the database's. */
  #clockOffsetMs = 0;
  #readAtMs = -Infinity;
  #reading: Promise<void> | undefined;

  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
  ) {}

  of(memberId: string): SharedOperatingTimes {
    return {
      paused: async (methods) => {
        const slowed = await this.#slowed(memberId, methods);
        return throttledOf(slowed, performance.now() + this.#clockOffsetMs);
      },
      claim: async (methods) => {
        const slowed = await this.#slowed(memberId, methods);
        return slowed.size === 0 ? 0 : await this.#claim(memberId, [...slowed.keys()]);
      },
      observe: (usage) => this.#observe(memberId, usage),
    };
  }

  /** The throttled ones of these methods; at most a second old. */
  async #slowed(memberId: string, methods: readonly string[]): Promise<ThrottledMethods> {
    if (performance.now() - this.#readAtMs > FRESH_FOR_MS) {
      // Concurrent callers share one query.
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    const known = this.#known.get(memberId);
    return new Map(known && [...known].filter(([method]) => methods.includes(method)));
  }

  async #read(): Promise<void> {
    const { portals, nowMs } = await readAllThrottled(this.dataSource);
    this.#known = portals;
    this.#readAtMs = performance.now();
    this.#clockOffsetMs = nowMs - this.#readAtMs;
  }

  async #claim(memberId: string, methods: readonly string[]): Promise<number> {
    return await changeThrottled(this.dataSource, memberId, methods, (slowed, nowMs) => {
      const { claimed, waitMs } = reserveCalls(slowed, nowMs);
      return { changed: claimed, result: waitMs };
    });
  }

  async #observe(memberId: string, usage: readonly MethodUsage[]): Promise<void> {
    const known = this.#known.get(memberId);
    const telling = usage.filter((bill) => !isBelowThreshold(bill) || known?.has(bill.method));
    if (telling.length === 0) return;
    const methods = telling.map(({ method }) => method);
    try {
      await changeThrottled(this.dataSource, memberId, methods, (slowed, nowMs) => {
        const changed = new Map<string, ThrottledMethod | undefined>(slowed);
        for (const bill of telling) {
          changed.set(bill.method, observeUsage(changed.get(bill.method), bill, nowMs));
        }
        return { changed, result: undefined };
      });
      this.#readAtMs = -Infinity;
    } catch (err) {
      this.log.warn(
        { err, memberId },
        'the operating time of a method could not be told to the other processes',
      );
    }
  }
}
