import type pg from 'pg';
import type { UnroutedEvents, UnroutedFilter, UnroutedReplay } from '../../admin/bus-admin.js';
import { eventIn } from '../../admin/dead-letter-store.js';
import { isSubscribedTo, matchesUnroutedFilter, UnroutedCounts } from '../../admin/unrouted.js';
import { shardOf } from '../../contract/shard.js';
import { wakeChannel } from '../publisher.js';
import { STAMP_CTE } from '../fetch-cursors.js';

/** One row may have a quarter of a megabyte. */
const COUNT_PAGE_ROWS = 100;
const REPLAY_PAGE_ROWS = 1_000;

const PAGE_SQL = 'SELECT id, content::text AS content FROM bus.unrouted WHERE id > $1 ORDER BY id LIMIT $2';

interface UnroutedRow {
  id: string;
  content: string;
}

export async function countUnrouted(database: pg.Pool): Promise<UnroutedEvents[]> {
  const counts = new UnroutedCounts();
  for (let after = '0'; ;) {
    const { rows } = await database.query<UnroutedRow>(PAGE_SQL, [after, COUNT_PAGE_ROWS]);
    for (const { content } of rows) counts.add(Buffer.from(content));
    const last = rows.at(-1);
    if (!last) return counts.result();
    after = last.id;
  }
}

/** Each event leaves `bus.unrouted` in the same transaction in which all of its consumers receive it. */
export async function replayUnrouted(
  database: pg.Pool,
  wanted: ReadonlyMap<string, readonly string[]>,
  filter: UnroutedFilter,
): Promise<UnroutedReplay> {
  const total: UnroutedReplay = { replayed: 0, left: 0 };
  for (let after = '0'; ;) {
    const { rows } = await database.query<UnroutedRow>(PAGE_SQL, [after, REPLAY_PAGE_ROWS]);
    const last = rows.at(-1);
    if (!last) return total;
    after = last.id;
    const moves = rows.flatMap(({ id, content }) => {
      const event = eventIn(Buffer.from(content));
      if (!event || !matchesUnroutedFilter(event, filter)) return [];
      const owners = [...wanted].filter(([, names]) => names.some((name) => isSubscribedTo(name, event)));
      return owners.map(([consumer]) => ({ id, consumer, shard: shardOf(event.memberId) }));
    });
    const replayed = new Set(moves.map(({ id }) => id)).size;
    total.replayed += replayed;
    total.left += rows.length - replayed;
    if (replayed > 0) await database.query(MOVE_SQL, [JSON.stringify(moves)]);
    for (const consumer of new Set(moves.map((move) => move.consumer))) {
      await database.query(`SELECT pg_notify($1, '')`, [wakeChannel(consumer)]);
    }
  }
}

const MOVE_SQL = `
  WITH ${STAMP_CTE}, moves AS (
    SELECT * FROM json_to_recordset($1::json) AS moves (id bigint, consumer text, shard smallint)
  ), taken AS (
    DELETE FROM bus.unrouted WHERE id IN (SELECT id FROM moves) RETURNING id, content
  )
  INSERT INTO bus.messages (consumer, shard, content, available_at)
  SELECT moves.consumer, moves.shard, taken.content, at FROM taken JOIN moves USING (id), stamp ORDER BY id`;
