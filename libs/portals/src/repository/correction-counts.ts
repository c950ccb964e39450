import type { DataSource } from 'typeorm';
import { queryRows } from '../database/sql.js';

const KEPT_DAYS = 30;

/** How many things consumers have put right at each portal, by day (UTC), for its people to see. Numbers alone. */
export class CorrectionCounts {
  constructor(private readonly dataSource: Pick<DataSource, 'query'>) {}

  /** Also deletes days of this portal that are too old. A portal that is unknown is ignored. */
  async add(memberId: string, consumer: string, count: number): Promise<void> {
    if (count === 0) return;
    await this.dataSource.query(
      `WITH forgotten AS (
         DELETE FROM portals.correction_counts
         WHERE member_id = $1 AND consumer = $2 AND day < (now() AT TIME ZONE 'UTC')::date - ${KEPT_DAYS})
       INSERT INTO portals.correction_counts AS c (member_id, consumer, day, count)
       SELECT member_id, $2, (now() AT TIME ZONE 'UTC')::date, $3 FROM portals.portals WHERE member_id = $1
       ON CONFLICT (member_id, consumer, day) DO UPDATE SET count = c.count + excluded.count`,
      [memberId, consumer, count],
    );
  }

  /** @param days with today, at most 30 */
  async total(memberId: string, consumer: string, days: number): Promise<number> {
    const [row] = await queryRows<{ total: number }>(
      this.dataSource,
      `SELECT coalesce(sum(count), 0)::int AS total FROM portals.correction_counts
       WHERE member_id = $1 AND consumer = $2 AND day > (now() AT TIME ZONE 'UTC')::date - $3::int`,
      [memberId, consumer, days],
    );
    return row?.total ?? 0;
  }
}
