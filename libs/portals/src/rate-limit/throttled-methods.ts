import type { ThrottledMethod } from '@relay/bitrix24';
import type { DataSource, EntityManager } from 'typeorm';
import { inTransaction } from '../in-transaction.js';

/** By method, in lower case. */
export type ThrottledMethods = ReadonlyMap<string, ThrottledMethod>;

interface Row extends ThrottledMethod {
  readonly memberId: string;
  readonly method: string;
}

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

/** The throttled methods of all portals, by member_id, and the database's clock. */
export async function readAllThrottled(
  dataSource: DataSource,
): Promise<{ portals: Map<string, ThrottledMethods>; nowMs: number }> {
  const rows = await dataSource.query<(Row & { nowMs: number })[]>(
    `SELECT ${COLUMNS}, ${CLOCK} FROM portals.operating_times WHERE NOT ${FORGOTTEN}`,
  );
  const portals = new Map<string, Map<string, ThrottledMethod>>();
  for (const { memberId, method, ...slowed } of rows) {
    const methods = portals.get(memberId) ?? new Map<string, ThrottledMethod>();
    portals.set(memberId, methods.set(method, slowed));
  }
  // Without rows the time is not used.
  return { portals, nowMs: rows[0]?.nowMs ?? 0 };
}

/**
 * Reads these methods of a portal, changes what `change` says, and removes those that it sets to undefined: all under
 * the lock of their rows, in one order.
 */
export async function changeThrottled<T>(
  dataSource: DataSource,
  memberId: string,
  methods: readonly string[],
  change: (
    slowed: ThrottledMethods,
    nowMs: number,
  ) => { changed: ReadonlyMap<string, ThrottledMethod | undefined>; result: T },
): Promise<T> {
  return await inTransaction(dataSource, async (manager) => {
    const rows = await manager.query<Row[]>(
      `SELECT ${COLUMNS} FROM portals.operating_times WHERE member_id = $1 AND method = ANY ($2::text[])
       ORDER BY method FOR NO KEY UPDATE`,
      [memberId, methods],
    );
    const [time] = await manager.query<{ nowMs: number }[]>(`SELECT ${CLOCK}`);
    const slowed = new Map(rows.map(({ method, ...each }) => [method, each]));
    const { changed, result } = change(slowed, time?.nowMs ?? Date.now());
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
  slowed: ThrottledMethod | undefined,
): Promise<void> {
  if (!slowed) {
    const removed = `DELETE FROM portals.operating_times WHERE member_id = $1 AND (method = $2 OR ${FORGOTTEN})`;
    await manager.query(removed, [memberId, method]);
    return;
  }
  const { usedSeconds, slowSinceMs, resetsAtMs, nextAtMs } = slowed;
  await manager.query(SAVE_SQL, [memberId, method, usedSeconds, slowSinceMs, resetsAtMs, nextAtMs]);
}
