import type pg from 'pg';

export interface MessageRow {
  id: string;
  shard: number;
  /** JSON text. */
  content: string;
  attempts: number;
  deliveryCount: number;
  /** Milliseconds. */
  firstFailedAt: number | undefined;
}

/** Rows of one shard in one answer: bounds the memory of a start on a long backlog. */
const MAX_ROWS_PER_SHARD = 1_000;

// The lease of the shard is ours, so nobody else takes these rows and none need be locked or skipped.
const TAKE_SQL = `
  WITH next AS (
    SELECT m.id FROM unnest($2::int[], $3::int[]) AS room (shard, free)
    CROSS JOIN LATERAL (
      SELECT id FROM bus.messages
      WHERE consumer = $1 AND shard = room.shard AND NOT taken AND available_at <= now()
      ORDER BY available_at, id
      LIMIT room.free
    ) AS m
  ), took AS (
    UPDATE bus.messages AS m SET taken = true, deliveries = m.deliveries + 1
    FROM next WHERE m.id = next.id
    RETURNING m.*
  )
  SELECT id, shard, content::text AS content, attempts, deliveries - 1 AS "deliveryCount",
         (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt"
  FROM took ORDER BY available_at, id`;

/**
 * Takes what is due, at most as many rows of a shard as it has room for; the oldest first. Asks without any room, too:
 * the server ends a session that it does not hear from.
 */
export async function takeRows(
  client: pg.Client,
  consumer: string,
  room: ReadonlyMap<number, number>,
): Promise<{ rows: MessageRow[]; mayBeMore: boolean }> {
  const open = [...room].filter(([, free]) => free > 0);
  const limits = open.map(([, free]) => Math.min(free, MAX_ROWS_PER_SHARD));
  const { rows } = await client.query<Omit<MessageRow, 'firstFailedAt'> & { firstFailedAt: number | null }>({
    name: 'bus-take',
    text: TAKE_SQL,
    values: [consumer, open.map(([shard]) => shard), limits],
  });
  return {
    rows: rows.map((row) => ({ ...row, firstFailedAt: row.firstFailedAt ?? undefined })),
    mayBeMore: rows.length >= Math.min(...limits),
  };
}
