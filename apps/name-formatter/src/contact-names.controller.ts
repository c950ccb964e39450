import { Controller, Optional } from '@nestjs/common';
import {
  Bitrix24Error,
  type Item,
  type ItemOutcome,
  type PortalClient,
  readItems,
  type Write,
  writeAll,
} from '@relay/bitrix24';
import { type FailedEntry, OnPortalEvents, type PortalBatch, type PortalEntry } from '@relay/consumer';
import { createEventLoopYielder } from '@relay/platform';
import { PortalClients, PortalSettings } from '@relay/portals';
import type { NameOptions } from './format-name.js';
import { findNameChanges, fullName, NAME_FIELDS, type NameChanges, NameObserver } from './name-changes.js';
import { nameOptionsOf } from './settings.js';

/** `api-reference/crm/data-types.md`, object types. */
const CONTACT = 3;

/**
 * Corrects the names of contacts. An event says which contact may have changed; the handler reads its names from the
 * portal. Each write causes an event of its own, for which nothing is left to change, so the loop ends.
 */
@Controller()
export class ContactNamesController {
  constructor(
    private readonly portals: PortalClients,
    private readonly settings: PortalSettings,
    @Optional() private readonly observer?: NameObserver,
  ) {}

  @OnPortalEvents(['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'])
  async formatNames({ memberId, entries }: PortalBatch): Promise<FailedEntry[]> {
    const options = await nameOptionsOf(this.settings, memberId);
    const client = this.portals.for(memberId);
    const { changes, failed } = await findChanges(entries, await readContacts(client, entries), options);
    const unwritten = await writeNames(client, changes, (change) =>
      this.observer?.corrected({ memberId, ...change }),
    );
    return [...failed, ...unwritten];
  }
}

async function readContacts(
  client: PortalClient,
  entries: readonly PortalEntry[],
): Promise<Map<string, ItemOutcome>> {
  const ids = entries.flatMap(({ entityId }) => entityId ?? []);
  const query = { entityTypeId: CONTACT, ids, select: ['id', ...NAME_FIELDS] };
  return new Map((await readItems(client, [query])).flatMap(([, contacts]) => [...contacts]));
}

interface Change {
  entity: string;
  id: string;
  fields: NameChanges;
  before: string;
  after: string;
  firstSeenAt: number;
}

/** A contact that no longer exists needs no change. */
async function findChanges(
  entries: readonly PortalEntry[],
  contacts: Map<string, ItemOutcome>,
  options: NameOptions,
): Promise<{ changes: Change[]; failed: FailedEntry[] }> {
  const changes: Change[] = [];
  const failed: FailedEntry[] = [];
  const yieldToEventLoop = createEventLoopYielder();
  for (const { entity, entityId: id, firstSeenAt } of entries) {
    await yieldToEventLoop();
    const contact = id === null ? undefined : contacts.get(id);
    if (contact?.state === 'failed') failed.push({ entity, error: contact.error });
    if (id === null || contact?.state !== 'found') continue;
    const fields = findNameChanges(contact.item, options);
    if (fields) changes.push({ entity, id, fields, firstSeenAt, ...namesOf(contact.item, fields) });
  }
  return { changes, failed };
}

function namesOf(contact: Item, fields: NameChanges): Pick<Change, 'before' | 'after'> {
  return { before: fullName(contact), after: fullName({ ...contact, ...fields }) };
}

/** A repeated write is harmless, so a batch of events may be handled again. */
async function writeNames(
  client: PortalClient,
  changes: readonly Change[],
  onWritten: (change: Change) => void,
): Promise<FailedEntry[]> {
  const failed: FailedEntry[] = [];
  for (const [{ change }, outcome] of await writeAll(client, changes.map(toWrite))) {
    if (outcome.ok) onWritten(change);
    else if (!isDeleted(outcome.error)) failed.push({ entity: change.entity, error: outcome.error });
  }
  return failed;
}

/** Deleted since it was read. */
function isDeleted(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.code === 'NOT_FOUND';
}

function toWrite(change: Change): Write & { change: Change } {
  const { entity, id, fields } = change;
  const params = { entityTypeId: CONTACT, id, fields: { ...fields } };
  return { change, entity, command: { method: 'crm.item.update', params } };
}
