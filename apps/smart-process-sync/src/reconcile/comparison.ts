import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { storedTime } from '../item-row.js';
import type { ScanPage } from '../keyset-scan/keyset-scan.js';

/**
 * - `missing`: the portal lists it, the mirror does not;
 * - `stale`: their change times differ. Not "is older": a restored portal turns times back;
 * - `unsettled`: the times are equal, but the item was read in the second of its last change, so that another change
 *   in that second, whose event was lost, would not show;
 * - `absent`: the mirror has it, the portal does not list it;
 * - `hidden`: neither has it, but the portal hid it at the last check.
 */
export type Difference = 'missing' | 'stale' | 'unsettled' | 'absent' | 'hidden';

/** A second of the portal's clock, and one for the error of the measured clock difference. */
const SETTLED_AFTER_SECONDS = 2;

@Injectable()
export class Comparison {
  constructor(private readonly source: DataSource) {}

  /**
   * Compares the portal's items between two ids with the rows of the mirror. Rows of reads that began after the chunk's
   * read are excluded: they are newer.
   * @returns ids by kind of difference
   */
  async compare({
    read,
    after,
    last,
    isEnd,
    items,
    unreadable,
    portalClockMs,
  }: ScanPage): Promise<Map<Difference, string[]>> {
    const skewSeconds = portalClockMs === undefined ? 0 : (portalClockMs - read.at.getTime()) / 1_000;
    const rows = await this.source.query<{ what: Difference; ids: string[] }[]>(
      `WITH portal AS (
         SELECT * FROM unnest($4::bigint[], $5::timestamptz[]) AS p(item_id, updated_time)),
       compared AS (
         SELECT p.item_id, CASE
             WHEN i.item_id IS NULL OR i.deleted_at IS NOT NULL OR i.hidden_at IS NOT NULL THEN 'missing'
             WHEN i.updated_time IS DISTINCT FROM p.updated_time THEN 'stale'
             WHEN i.read_at IS NULL OR i.read_at + make_interval(secs => $6) < p.updated_time + make_interval(secs => $7)
               THEN 'unsettled' END AS what
           FROM portal p LEFT JOIN mirror.items i
             ON i.member_id = $1 AND i.entity_type_id = $2 AND i.item_id = p.item_id
          WHERE i.read_number IS NULL OR i.read_number < $3
         UNION ALL
         SELECT i.item_id, CASE WHEN i.hidden_at IS NULL THEN 'absent' ELSE 'hidden' END FROM mirror.items i
          WHERE i.member_id = $1 AND i.entity_type_id = $2 AND i.read_number < $3 AND i.deleted_at IS NULL
            AND i.item_id > $8 AND ($10 OR i.item_id <= $9)
            AND i.item_id <> ALL ($11::bigint[]) AND NOT EXISTS (SELECT FROM portal p WHERE p.item_id = i.item_id))
       SELECT what, array_agg(item_id::text ORDER BY item_id) AS ids FROM compared WHERE what IS NOT NULL GROUP BY what`,
      [
        read.memberId,
        read.entityTypeId,
        read.number,
        items.map(({ id }) => String(id)),
        items.map(({ updatedTime }) => storedTime(updatedTime)),
        skewSeconds,
        SETTLED_AFTER_SECONDS,
        after,
        last,
        isEnd,
        unreadable,
      ],
    );
    return new Map(rows.map(({ what, ids }) => [what, ids]));
  }
}
