import { Injectable } from '@nestjs/common';
import { type BatchClient, Bitrix24Error, readItems } from '@relay/bitrix24';
import { counter } from '@relay/platform';
import { DataSource } from 'typeorm';
import type { Findings } from '../backfill/progress.js';
import { ALL_FIELDS, type ItemRow, storedTime, toItemRow } from '../items/item-row.js';
import { itemsTotal, MirrorStore } from '../items/mirror-store.js';
import { resolveMissing } from '../items/missing-items.js';
import { isPortalError } from '../items/error-scope.js';
import type { ScanPage } from '../keyset-scan/keyset-scan.js';

/**
 * - `missing`: the portal lists it, the mirror does not;
 * - `stale`: their change times differ. Not "is older": a restored portal turns times back;
 * - `uncertain`: the times are equal, but the item was read in the second of its last change, so that another change
 *   in that second, whose event was lost, would not show;
 * - `unlisted`: the mirror has it, the portal does not list it;
 * - `hidden`: neither has it, but the portal hid it at the last check.
 */
type Difference = 'missing' | 'stale' | 'uncertain' | 'unlisted' | 'hidden';

const foundTotal = counter({
  name: 'relay_sync_found_total',
  help: 'Differences that reconciliations found and repaired, by what: missing, stale, deleted, hidden',
  labelNames: ['what'],
});

// A series that begins with its first difference has no increase for it.
for (const what of ['missing', 'stale', 'deleted', 'hidden']) foundTotal.inc({ what }, 0);

/** A second of the portal's clock, and one for the error of the measured clock difference. */
const STABLE_AFTER_SECONDS = 2;

/** Finds the differences between the portal and the mirror. */
@Injectable()
export class Comparison {
  constructor(private readonly source: DataSource) {}

  /**
   * Compares the portal's items between two ids with the rows of the mirror. Rows of reads that began after the page's
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
               THEN 'uncertain' END AS what
           FROM portal p LEFT JOIN mirror.items i
             ON i.member_id = $1 AND i.entity_type_id = $2 AND i.item_id = p.item_id
          WHERE i.read_number IS NULL OR i.read_number < $3
         UNION ALL
         SELECT i.item_id, CASE WHEN i.hidden_at IS NULL THEN 'unlisted' ELSE 'hidden' END FROM mirror.items i
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
        STABLE_AFTER_SECONDS,
        after,
        last,
        isEnd,
        unreadable,
      ],
    );
    return new Map(rows.map(({ what, ids }) => [what, ids]));
  }
}

/** Updates the rows of the mirror that differ from the items of the portal. */
@Injectable()
export class RepairStep {
  constructor(
    private readonly store: MirrorStore,
    private readonly comparison: Comparison,
  ) {}

  /** @param found counts the differences */
  async repair(client: BatchClient, page: ScanPage, found: Findings, signal: AbortSignal): Promise<void> {
    const { memberId, entityTypeId } = page.read;
    const differences = await this.comparison.compare(page);
    const ids = (what: Difference): string[] => differences.get(what) ?? [];
    const toRead = [...ids('missing'), ...ids('stale'), ...ids('uncertain')];
    const gone = await this.rereadItems(client, memberId, entityTypeId, toRead, found, signal);
    const wasHidden = new Set(ids('hidden'));
    const unlisted = [...ids('unlisted'), ...wasHidden, ...gone];
    const resolved = await resolveMissing(
      this.store,
      client,
      { memberId, entityTypeId, ids: unlisted },
      signal,
    );
    for (const error of resolved.failed.values()) throwUnlessItemError(error);
    found.unreadable += resolved.failed.size;
    const counted = {
      missing: ids('missing').length + resolved.found.length,
      stale: ids('stale').length,
      deleted: resolved.deleted.length,
      hidden: resolved.hidden.filter((id) => !wasHidden.has(id)).length,
    };
    for (const [what, count] of Object.entries(counted)) foundTotal.inc({ what }, count);
    found.missing += counted.missing;
    found.stale += counted.stale;
    found.deleted += counted.deleted;
    found.hidden += counted.hidden;
    found.rechecked += ids('uncertain').length;
  }

  /** @returns items that are no longer listed */
  private async rereadItems(
    client: BatchClient,
    memberId: string,
    entityTypeId: number,
    ids: readonly string[],
    found: Findings,
    signal: AbortSignal,
  ): Promise<string[]> {
    if (ids.length === 0) return [];
    const read = await this.store.beginRead(memberId, entityTypeId);
    const rows: ItemRow[] = [];
    const unlisted: string[] = [];
    for (const [, outcomes] of await readItems(client, [{ entityTypeId, ids, select: ALL_FIELDS }], {
      signal,
    })) {
      for (const [id, outcome] of outcomes) {
        if (outcome.state === 'found') rows.push(toItemRow(id, outcome.item));
        else if (outcome.state === 'absent') unlisted.push(id);
        else {
          throwUnlessItemError(outcome.error);
          found.unreadable += 1;
        }
      }
    }
    await this.store.saveItems(read, rows);
    itemsTotal.inc({ work: 'reconcile' }, rows.length);
    return unlisted;
  }
}

/** If the portal accepts no calls for now, nothing may be skipped. */
function throwUnlessItemError(error: unknown): void {
  if (!(error instanceof Bitrix24Error) || isPortalError(error)) throw error;
}
