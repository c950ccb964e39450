import { Controller } from '@nestjs/common';
import { type ItemOutcome, type ItemQuery, type PortalClient, readItems } from '@relay/bitrix24';
import { type FailedEntry, OnPortalEvents, type PortalBatch, type PortalEntry } from '@relay/consumer';
import { PortalClients, PortalSettings } from '@relay/portals';
import { ALL_FIELDS, ITEM_ID, type ItemRow, toItemRow } from './items/item-row.js';
import { type ItemRead, itemsTotal, MirrorStore } from './items/mirror-store.js';
import { resolveMissing } from './items/missing-items.js';
import { isWanted, ITEM_EVENTS, settingsOf } from './smart-process-types/settings.js';

/**
 * Keeps `mirror.items` equal to the portal. The kind of event does not matter: the item exists, or it does not. The items of
 * all smart processes are read together; a deleted or unreadable type does not affect the others.
 */
@Controller()
export class ItemsController {
  constructor(
    private readonly portals: PortalClients,
    private readonly settings: PortalSettings,
    private readonly store: MirrorStore,
  ) {}

  @OnPortalEvents(ITEM_EVENTS)
  async mirrorItems({ memberId, entries }: PortalBatch): Promise<FailedEntry[]> {
    const settings = await settingsOf(this.settings, memberId);
    const client = this.portals.for(memberId);
    const queries: TypeQuery[] = [];
    for (const [entityTypeId, itemEntries] of groupByType(entries)) {
      if (!isWanted(settings, entityTypeId)) continue;
      const read = await this.store.beginRead(memberId, entityTypeId);
      queries.push({ entityTypeId, ids: [...itemEntries.keys()], select: ALL_FIELDS, read, itemEntries });
    }
    const failed: FailedEntry[] = [];
    for (const [query, outcomes] of await readItems(client, queries)) {
      try {
        failed.push(...(await this.mirrorType(client, query, outcomes)));
      } catch (error) {
        failed.push(...[...query.itemEntries.values()].map(({ entity }) => ({ entity, error })));
      }
    }
    return failed;
  }

  /** The state of an unreadable item is unknown, so its row stays. */
  private async mirrorType(
    client: PortalClient,
    { read, itemEntries }: TypeQuery,
    outcomes: Map<string, ItemOutcome>,
  ): Promise<FailedEntry[]> {
    const rows: ItemRow[] = [];
    const deleted: string[] = [];
    const unlisted: string[] = [];
    const failed: FailedEntry[] = [];
    for (const [id, { entity, names }] of itemEntries) {
      const outcome = outcomes.get(id);
      if (outcome?.state === 'found') rows.push(toItemRow(id, outcome.item));
      else if (outcome?.state !== 'absent') failed.push({ entity, error: outcome?.error });
      else if (names.includes('ONCRMDYNAMICITEMDELETE')) deleted.push(id);
      else unlisted.push(id);
    }
    await this.store.saveItems(read, rows);
    await this.store.markDeleted(read, deleted);
    itemsTotal.inc({ work: 'live' }, rows.length + deleted.length);
    // Changed by an event, and missing from the list: deleted meanwhile, or hidden from this user.
    const { memberId, entityTypeId } = read;
    const resolved = await resolveMissing(this.store, client, { memberId, entityTypeId, ids: unlisted });
    for (const [id, error] of resolved.failed) {
      const entry = itemEntries.get(id);
      if (entry) failed.push({ entity: entry.entity, error });
    }
    return failed;
  }
}

/** The items of one smart process to be read, with their read number and the entries that requested it. */
interface TypeQuery extends ItemQuery {
  readonly read: ItemRead;
  readonly itemEntries: ReadonlyMap<string, PortalEntry>;
}

/** By smart process, then by item id. Events without either have nothing to read. */
function groupByType(entries: PortalEntry[]): Map<number, Map<string, PortalEntry>> {
  const types = new Map<number, Map<string, PortalEntry>>();
  for (const entry of entries) {
    const { entityTypeId, entityId } = entry;
    if (entityTypeId === 0 || entityId === null || !ITEM_ID.test(entityId)) continue;
    const items = types.get(entityTypeId) ?? new Map<string, PortalEntry>();
    types.set(entityTypeId, items.set(entityId, entry));
  }
  return types;
}
