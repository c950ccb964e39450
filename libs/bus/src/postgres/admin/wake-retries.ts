import type pg from 'pg';
import { eventIn } from '../../admin/dead-letter.js';
import { shardOf } from '../../contract/shard.js';
import { wakeChannel } from '../publisher.js';

const PAGE_ROWS = 500;

// Member ids are parsed here, not in SQL: PostgreSQL's JSON functions reject a whole query for one invalid escape in
// one row.
const PAGE_SQL = `
  SELECT id, content::text AS content FROM bus.messages
  WHERE consumer = $1 AND shard = ANY ($2::smallint[]) AND NOT taken AND available_at > clock_timestamp() AND id > $3
    AND EXISTS (SELECT FROM unnest($4::text[]) AS wanted WHERE position(wanted IN content::text) > 0)
  ORDER BY id LIMIT $5`;

const WAKE_SQL = `
  WITH woken AS (
    UPDATE bus.messages SET available_at = clock_timestamp()
    WHERE id = ANY ($2::bigint[]) AND NOT taken AND available_at > clock_timestamp()
    RETURNING id
  )
  SELECT count(*)::int AS count, pg_notify($1, '') FROM woken`;

/** Makes everything that waits for these portals due now. @returns how many messages */
export async function wakeRetries(
  database: pg.Pool,
  consumer: string,
  memberIds: ReadonlySet<string>,
): Promise<number> {
  const wanted = [...memberIds];
  const ownShards = [...new Set(wanted.map((memberId) => shardOf(memberId)))];
  let woken = 0;
  for (let after = '0'; ;) {
    const { rows } = await database.query<{ id: string; content: string }>(PAGE_SQL, [
      consumer,
      ownShards,
      after,
      wanted,
      PAGE_ROWS,
    ]);
    const last = rows.at(-1);
    if (!last) return woken;
    after = last.id;
    const ids = rows.flatMap(({ id, content }) => {
      const memberId = eventIn(Buffer.from(content))?.memberId;
      return memberId !== undefined && memberIds.has(memberId) ? id : [];
    });
    const answer = await database.query<{ count: number }>(WAKE_SQL, [wakeChannel(consumer), ids]);
    woken += answer.rows[0]?.count ?? 0;
  }
}
