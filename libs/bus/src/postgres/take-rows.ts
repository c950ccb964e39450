import type pg from 'pg';

export interface MessageRow {
  id: string;
  shard: number;
  /** JSON text. */
  content: string;
  attempts: number;
  deliveryCount: number;
  /** Unix time in milliseconds. */
  firstFailedAt: number | undefined;
}

/** Maximum rows per shard in one result: bounds the memory of a start with a long backlog. */
const MAX_ROWS_PER_SHARD = 1_000;

// This session holds the shard's lease, so no other process takes these rows and no row lock or SKIP LOCKED is needed.
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
 * Takes due rows, the oldest first, at most as many per shard as it has capacity for. Queries even without capacity:
 * the server ends a session that sends nothing.
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
