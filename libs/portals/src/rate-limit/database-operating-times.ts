import {
  isBelowThreshold,
  type MethodUsage,
  observeUsage,
  reserveCalls,
  throttledOf,
  type ThrottledMethod,
} from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import { inTransaction, queryRows } from '../database/sql.js';

/** By method, in lower case. */
type ThrottledMethods = ReadonlyMap<string, ThrottledMethod>;

interface Row extends ThrottledMethod {
  readonly memberId: string;
  readonly method: string;
}

/** Operating time of one portal's methods. Method names are in lower case. */
export interface PortalOperatingTimes {
  /** Reserves one call of each method. @returns the delays of those that have to wait; then nothing is reserved */
  reserve(methods: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Does not reject. */
  observe(usage: readonly MethodUsage[]): Promise<void>;
}

/** Maximum age of the cached throttled methods of all portals. */
const FRESH_FOR_MS = 1_000;

const COLUMNS = `member_id AS "memberId", method, used_seconds AS "usedSeconds",
  extract(epoch FROM slow_since)::float8 * 1000 AS "slowSinceMs",
  extract(epoch FROM resets_at)::float8 * 1000 AS "resetsAtMs",
  extract(epoch FROM next_at)::float8 * 1000 AS "nextAtMs"`;
const CLOCK = `extract(epoch FROM clock_timestamp())::float8 * 1000 AS "nowMs"`;
/** After its reset a method is called again, and the response updates or deletes its row. Unused rows expire. */
const FORGOTTEN = `resets_at < clock_timestamp() - interval '10 minutes'`;

const SAVE_SQL = `
  INSERT INTO portals.operating_times (member_id, method, used_seconds, slow_since, resets_at, next_at)
  VALUES ($1, $2, $3, to_timestamp($4::float8 / 1000), to_timestamp($5::float8 / 1000), to_timestamp($6::float8 / 1000))
  ON CONFLICT (member_id, method) DO UPDATE
    SET used_seconds = excluded.used_seconds, slow_since = excluded.slow_since, resets_at = excluded.resets_at,
      next_at = excluded.next_at`;

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

  of(memberId: string): PortalOperatingTimes {
    return {
      reserve: async (methods) => {
        const throttled = await this.#throttled(memberId, methods);
        if (throttled.size === 0) return new Map();
        const late = throttledOf(throttled, performance.now() + this.#clockOffsetMs);
        return late.size > 0 ? late : await this.#reserve(memberId, [...throttled.keys()]);
      },
      observe: (usage) => this.#observe(memberId, usage),
    };
  }

  /** The throttled ones of these methods; at most a second old. */
  async #throttled(memberId: string, methods: readonly string[]): Promise<ThrottledMethods> {
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

  async #reserve(memberId: string, methods: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return await changeThrottled(this.dataSource, memberId, methods, (throttled, nowMs) => {
      const { claimed, waits } = reserveCalls(throttled, nowMs);
      return { changed: claimed, result: waits };
    });
  }

  async #observe(memberId: string, usage: readonly MethodUsage[]): Promise<void> {
    const known = this.#known.get(memberId);
    const telling = usage.filter((sample) => !isBelowThreshold(sample) || known?.has(sample.method));
    if (telling.length === 0) return;
    const methods = telling.map(({ method }) => method);
    try {
      await changeThrottled(this.dataSource, memberId, methods, (throttled, nowMs) => {
        const changed = new Map<string, ThrottledMethod | undefined>(throttled);
        for (const sample of telling) {
          changed.set(sample.method, observeUsage(changed.get(sample.method), sample, nowMs));
        }
        return { changed, result: undefined };
      });
      this.#readAtMs = -Infinity;
    } catch (err) {
      this.log.warn(
        { event: 'rate_limit.usage.unstored', err, memberId },
        'the operating time of a method could not be shared with the other processes',
      );
    }
  }
}

/** The throttled methods of all portals, by member_id, and the database's clock. */
async function readAllThrottled(
  dataSource: DataSource,
): Promise<{ portals: Map<string, ThrottledMethods>; nowMs: number }> {
  const rows = await queryRows<Row & { nowMs: number }>(
    dataSource,
    `SELECT ${COLUMNS}, ${CLOCK} FROM portals.operating_times WHERE NOT ${FORGOTTEN}`,
  );
  const portals = new Map<string, Map<string, ThrottledMethod>>();
  for (const { memberId, method, ...throttled } of rows) {
    const methods = portals.get(memberId) ?? new Map<string, ThrottledMethod>();
    portals.set(memberId, methods.set(method, throttled));
  }
  // Without rows the time is not used.
  return { portals, nowMs: rows[0]?.nowMs ?? 0 };
}

/**
 * Reads these methods of a portal, changes what `change` says, and removes those that it sets to undefined: all under
 * the lock of their rows, in one order.
 */
async function changeThrottled<T>(
  dataSource: DataSource,
  memberId: string,
  methods: readonly string[],
  change: (
    throttled: ThrottledMethods,
    nowMs: number,
  ) => { changed: ReadonlyMap<string, ThrottledMethod | undefined>; result: T },
): Promise<T> {
  return await inTransaction(dataSource, async (manager) => {
    const rows = await queryRows<Row>(
      manager,
      `SELECT ${COLUMNS} FROM portals.operating_times WHERE member_id = $1 AND method = ANY ($2::text[])
       ORDER BY method FOR NO KEY UPDATE`,
      [memberId, methods],
    );
    const [time] = await queryRows<{ nowMs: number }>(manager, `SELECT ${CLOCK}`);
    const throttled = new Map(rows.map(({ method, ...each }) => [method, each]));
    const { changed, result } = change(throttled, time?.nowMs ?? Date.now());
    for (const [method, each] of [...changed].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      await save(manager, memberId, method, each);
    }
    return result;
  });
}

async function save(
  manager: EntityManager,
  memberId: string,
  method: string,
  throttled: ThrottledMethod | undefined,
): Promise<void> {
  if (!throttled) {
    const removed = `DELETE FROM portals.operating_times WHERE member_id = $1 AND (method = $2 OR ${FORGOTTEN})`;
    await manager.query(removed, [memberId, method]);
    return;
  }
  const { usedSeconds, slowSinceMs, resetsAtMs, nextAtMs } = throttled;
  await manager.query(SAVE_SQL, [memberId, method, usedSeconds, slowSinceMs, resetsAtMs, nextAtMs]);
}
