import { Injectable } from '@nestjs/common';
import { type BatchClient, Bitrix24Error, readItems } from '@relay/bitrix24';
import { type ItemRow, toItemRow } from '../item-row.js';
import { ALL_FIELDS } from '../items.controller.js';
import { foundTotal, itemsTotal } from '../metrics.js';
import { MirrorStore } from '../mirror-store.js';
import type { Findings } from '../progress.js';
import type { ScanPage } from '../keyset-scan/keyset-scan.js';
import { Comparison, type Difference } from './comparison.js';
import { resolveMissing } from './resolve-missing.js';

/** Updates the rows of the mirror that differ from the items of the portal. */
@Injectable()
export class RepairStep {
  constructor(
    private readonly store: MirrorStore,
    private readonly comparison: Comparison,
  ) {}

  /** @param found counts the differences */
  async repair(client: BatchClient, chunk: ScanPage, found: Findings, signal: AbortSignal): Promise<void> {
    const { memberId, entityTypeId } = chunk.read;
    const differences = await this.comparison.compare(chunk);
    const ids = (what: Difference): string[] => differences.get(what) ?? [];
    const toRead = [...ids('missing'), ...ids('stale'), ...ids('unsettled')];
    const gone = await this.rereadItems(client, memberId, entityTypeId, toRead, found, signal);
    const wasHidden = new Set(ids('hidden'));
    const absent = [...ids('absent'), ...wasHidden, ...gone];
    const settled = await resolveMissing(this.store, client, { memberId, entityTypeId, ids: absent }, signal);
    for (const error of settled.failed.values()) throwUnlessItemError(error);
    found.unreadable += settled.failed.size;
    const counted = {
      missing: ids('missing').length + settled.found.length,
      stale: ids('stale').length,
      deleted: settled.deleted.length,
      hidden: settled.hidden.filter((id) => !wasHidden.has(id)).length,
    };
    for (const [what, count] of Object.entries(counted)) foundTotal.inc({ what }, count);
    found.missing += counted.missing;
    found.stale += counted.stale;
    found.deleted += counted.deleted;
    found.hidden += counted.hidden;
    found.rechecked += ids('unsettled').length;
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
    const absent: string[] = [];
    for (const [, outcomes] of await readItems(client, [{ entityTypeId, ids, select: ALL_FIELDS }], {
      signal,
    })) {
      for (const [id, outcome] of outcomes) {
        if (outcome.state === 'found') rows.push(toItemRow(id, outcome.item));
        else if (outcome.state === 'absent') absent.push(id);
        else {
          throwUnlessItemError(outcome.error);
          found.unreadable += 1;
        }
      }
    }
    await this.store.saveItems(read, rows);
    itemsTotal.inc({ work: 'reconcile' }, rows.length);
    return absent;
  }
}

/** If the portal accepts no calls for now, nothing may be skipped. */
function throwUnlessItemError(error: unknown): void {
  const isOfItem =
    error instanceof Bitrix24Error && error.recovery !== 'wait' && error.recovery !== 'reauthorize';
  if (!isOfItem) throw error;
}
