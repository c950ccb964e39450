import type { BatchClient } from '@relay/bitrix24';
import { type ItemRow, toItemRow } from '../item-row.js';
import type { MirrorStore } from '../mirror-store.js';
import { probeMissing } from './probe-missing.js';

export interface ResolvedMissingItems {
  deleted: string[];
  hidden: string[];
  /** Existing after all. */
  found: string[];
  /** Their rows stay unchanged. */
  failed: Map<string, unknown>;
}

/** Finds out whether a missing item is deleted or hidden, and marks its row. */
export async function resolveMissing(
  store: MirrorStore,
  client: BatchClient,
  { memberId, entityTypeId, ids }: { memberId: string; entityTypeId: number; ids: readonly string[] },
  signal?: AbortSignal,
): Promise<ResolvedMissingItems> {
  const settled: ResolvedMissingItems = { deleted: [], hidden: [], found: [], failed: new Map() };
  if (ids.length === 0) return settled;
  const read = await store.beginRead(memberId, entityTypeId);
  const rows: ItemRow[] = [];
  for (const [id, absence] of await probeMissing(client, entityTypeId, ids, signal)) {
    if (absence.state === 'failed') {
      settled.failed.set(id, absence.error);
    } else {
      settled[absence.state].push(id);
      if (absence.state === 'found') rows.push(toItemRow(id, absence.item));
    }
  }
  await store.saveItems(read, rows);
  await store.markDeleted(read, settled.deleted);
  await store.markHidden(read, settled.hidden);
  return settled;
}
