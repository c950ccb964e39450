import { Controller } from '@nestjs/common';
import { Bitrix24Error, type ItemQuery, readItems, type Write, writeAll } from '@relay/bitrix24';
import { type FailedEntry, OnPortalEvents, type PortalBatch, type PortalEntry } from '@relay/consumer';
import { createEventLoopYielder } from '@relay/platform';
import { PortalClients, PortalSettings } from '@relay/portals';
import { LRUCache } from 'lru-cache';
import { countryOfLanguage } from './format-phone.js';
import { type PhoneChange, phoneChangesOf, toFields } from './phone-changes.js';
import { NAME, settingsSchema } from './settings.js';

/** The keys of entries, and `api-reference/crm/data-types.md#object_type`. */
const ENTITY_TYPES: readonly [kind: string, entityTypeId: number][] = [
  ['CRMLEAD', 1],
  ['CRMCONTACT', 3],
  ['CRMCOMPANY', 4],
];
const DAY_MS = 24 * 3_600_000;

/**
 * Writes phones of contacts, companies and leads in E.164. Its own write causes an event, for which nothing is left to change. A number
 * that comes back in a spelling that was replaced, by a person or other programs that want it so, is left alone for a day: otherwise
 * all of them would write for ever.
 */
@Controller()
export class PhoneFormatterController {
  /** Every spelling that was replaced, in this process, which is the only one that has this portal. */
  private readonly replaced = new LRUCache<string, true>({ max: 50_000, ttl: DAY_MS });

  constructor(
    private readonly portals: PortalClients,
    private readonly settings: PortalSettings,
  ) {}

  @OnPortalEvents([
    'ONCRMCONTACTADD',
    'ONCRMCONTACTUPDATE',
    'ONCRMCOMPANYADD',
    'ONCRMCOMPANYUPDATE',
    'ONCRMLEADADD',
    'ONCRMLEADUPDATE',
  ])
  async format({ memberId, entries }: PortalBatch): Promise<FailedEntry[]> {
    const { own, language } = await this.settings.of(memberId, NAME, settingsSchema);
    if (!own.enabled) return [];
    const country = own.country ?? countryOfLanguage(language);
    const client = this.portals.for(memberId);
    const failed: FailedEntry[] = [];
    const writes: (Write & { changes: PhoneChange[] })[] = [];
    const yieldToEventLoop = createEventLoopYielder();
    for (const [{ kind, entityTypeId }, items] of await readItems(client, queriesOf(entries))) {
      for (const [id, read] of items) {
        await yieldToEventLoop();
        const entity = `${kind}:${id}`;
        if (read.state === 'failed') failed.push({ entity, error: read.error });
        // Deleted since, or not shown to this application: there is nothing to do.
        if (read.state !== 'found') continue;
        const changes = phoneChangesOf(read.item, country).filter(
          ({ valueId, from }) => !this.replaced.has(`${memberId} ${valueId} ${from}`),
        );
        const params = { entityTypeId, id, fields: toFields(changes) };
        if (changes.length > 0)
          writes.push({ entity, command: { method: 'crm.item.update', params }, changes });
      }
    }
    for (const [{ entity, changes }, outcome] of await writeAll(client, writes)) {
      if (outcome.ok)
        for (const { valueId, from } of changes) this.replaced.set(`${memberId} ${valueId} ${from}`, true);
      else if (!isDeleted(outcome.error)) failed.push({ entity, error: outcome.error });
    }
    return failed;
  }
}

/** One for each type. `fm` comes only with all fields (`api-reference/crm/universal/crm-item-list.md`). */
function queriesOf(entries: readonly PortalEntry[]): (ItemQuery & { kind: string })[] {
  return ENTITY_TYPES.map(([kind, entityTypeId]) => {
    const own = entries.filter(({ entity }) => entity.startsWith(`${kind}:`));
    return { kind, entityTypeId, ids: own.flatMap(({ entityId }) => entityId ?? []), select: ['*'] };
  });
}

/** Since it was read. */
function isDeleted(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.code === 'NOT_FOUND';
}
