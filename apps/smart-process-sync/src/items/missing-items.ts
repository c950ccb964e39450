import {
  type BatchClient,
  Bitrix24Error,
  type Command,
  type Item,
  MAX_BATCH_COMMANDS,
} from '@relay/bitrix24';
import { z } from 'zod';
import { type ItemRow, toItemRow } from './item-row.js';
import type { MirrorStore } from './mirror-store.js';

interface ResolvedMissingItems {
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
  const resolved: ResolvedMissingItems = { deleted: [], hidden: [], found: [], failed: new Map() };
  if (ids.length === 0) return resolved;
  const read = await store.beginRead(memberId, entityTypeId);
  const rows: ItemRow[] = [];
  for (const [id, item] of await probeMissing(client, entityTypeId, ids, signal)) {
    if (item.state === 'failed') {
      resolved.failed.set(id, item.error);
    } else {
      resolved[item.state].push(id);
      if (item.state === 'found') rows.push(toItemRow(id, item.item));
    }
  }
  await store.saveItems(read, rows);
  await store.markDeleted(read, resolved.deleted);
  await store.markHidden(read, resolved.hidden);
  return resolved;
}

/**
 * The state of an item that a list lacks:
 * - `deleted`: it does not exist;
 * - `hidden`: it exists, and this user may not see it;
 * - `found`: it exists after all;
 * - `failed`: unknown.
 */
type MissingItem =
  | { readonly state: 'deleted' | 'hidden' }
  | { readonly state: 'found'; readonly item: Item }
  | { readonly state: 'failed'; readonly error: unknown };

const answer = z.object({ item: z.looseObject({ id: z.union([z.int().positive(), z.string()]) }) });

/**
 * Lists omit hidden items just like deleted ones (`api-reference/crm/universal/crm-item-list.md`).
 * `crm.item.get` distinguishes them: `NOT_FOUND` for an item that does not exist, `ACCESS_DENIED` for one without
 * access rights (`crm-item-get.md`). Fifty per request.
 */
async function probeMissing(
  client: BatchClient,
  entityTypeId: number,
  ids: readonly string[],
  signal?: AbortSignal,
): Promise<Map<string, MissingItem>> {
  const missing = new Map<string, MissingItem>();
  for (let from = 0; from < ids.length; from += MAX_BATCH_COMMANDS) {
    const part = ids.slice(from, from + MAX_BATCH_COMMANDS);
    for (const [id, item] of await probePart(client, entityTypeId, part, signal)) missing.set(id, item);
  }
  return missing;
}

async function probePart(
  client: BatchClient,
  entityTypeId: number,
  ids: readonly string[],
  signal?: AbortSignal,
): Promise<[id: string, MissingItem][]> {
  const commands: Record<string, Command> = Object.fromEntries(
    ids.map((id) => [`i${id}`, { method: 'crm.item.get', params: { entityTypeId, id } }]),
  );
  try {
    const outcomes = await client.batch(commands, { signal });
    return ids.map((id) => {
      const outcome = outcomes[`i${id}`];
      return [id, outcome?.ok ? readItem(outcome.result, id) : classifyError(outcome?.error)];
    });
  } catch (error) {
    return ids.map((id) => [id, { state: 'failed', error }]);
  }
}

function readItem(result: unknown, id: string): MissingItem {
  const read = answer.safeParse(result);
  if (read.success && String(read.data.item.id) === id) return { state: 'found', item: read.data.item };
  return {
    state: 'failed',
    error: new Bitrix24Error('BAD_ANSWER', { method: 'crm.item.get', delivered: 'yes' }),
  };
}

function classifyError(error: unknown): MissingItem {
  if (error instanceof Bitrix24Error && error.code === 'NOT_FOUND') return { state: 'deleted' };
  if (error instanceof Bitrix24Error && error.code === 'ACCESS_DENIED') return { state: 'hidden' };
  return { state: 'failed', error };
}
