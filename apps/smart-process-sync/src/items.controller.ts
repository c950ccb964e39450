import { Controller } from '@nestjs/common';
import type { Item } from '@relay/bitrix24';
import { type FailedEntry, OnPortalEvents, type PortalBatch, type PortalEntry } from '@relay/bus';
import { PortalClients } from '@relay/portals';
import { toItemRow } from './item-row.js';
import { MirrorStore } from './mirror-store.js';

/** Custom fields by their own wild card, which other list methods need; here `*` may or may not bring them. */
const ALL_FIELDS = ['*', 'uf_*'];

/** An id that PostgreSQL's bigint holds, spelled in the one way in which the portal spells it. */
const ITEM_ID = /^[1-9]\d{0,17}$/;

/** Keeps `mirror.items` equal to the portal. What happened to an item is not asked: it is there, or it is not. */
@Controller()
export class ItemsController {
  constructor(
    private readonly portals: PortalClients,
    private readonly store: MirrorStore,
  ) {}

  @OnPortalEvents(['ONCRMDYNAMICITEMADD', 'ONCRMDYNAMICITEMUPDATE', 'ONCRMDYNAMICITEMDELETE'])
  async mirrorItems({ memberId, entries }: PortalBatch): Promise<FailedEntry[]> {
    const failed: FailedEntry[] = [];
    for (const [entityTypeId, itemEntries] of groupByType(entries)) {
      try {
        await this.mirrorType(memberId, entityTypeId, [...itemEntries.keys()]);
      } catch (error) {
        // A smart process that is gone, or that this user may not read, leaves the others alone.
        failed.push(...[...itemEntries.values()].map(({ entity }) => ({ entity, error })));
      }
    }
    return failed;
  }

  private async mirrorType(memberId: string, entityTypeId: number, ids: string[]): Promise<void> {
    const read = await this.store.beginRead(memberId, entityTypeId);
    const items = await this.portals.for(memberId).listByIds(entityTypeId, ids, { select: ALL_FIELDS });
    await this.store.saveItems(read, toRows(items));
    // Hazard: the portal also leaves out what the stored user has no right to read
    // (`api-reference/crm/universal/crm-item-list.md`), and a list cannot tell that from deleted.
    await this.store.markDeleted(
      read,
      ids.filter((id) => !items.has(id)),
    );
  }
}

function toRows(items: Map<string, Item>): ReturnType<typeof toItemRow>[] {
  return [...items].map(([id, item]) => toItemRow(id, item));
}

/** By smart process, then by item id. Events without either name nothing that could be read. */
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
