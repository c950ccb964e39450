import { Controller, Optional } from '@nestjs/common';
import {
  Bitrix24Error,
  type ItemOf,
  type ItemOutcome,
  type PortalClient,
  readItems,
  toItem,
  wholeRequests,
  type Write,
  writeAll,
} from '@relay/bitrix24';
import {
  type FailedEntry,
  OnPortalEvents,
  type PortalBatch,
  type PortalEntry,
  type PostponedEntry,
} from '@relay/consumer';
import { NAME_FIELDS, type NameChanges, type NameOptions, nameSettings } from '@relay/names';
import { createEventLoopYielder } from '@relay/platform';
import { CorrectionCounts, PortalClients, PortalSettings } from '@relay/portals';
import { type Correction, CorrectionMemory } from './correction-memory.js';
import { findContactChanges, fullName, type NameCorrection, NameObserver } from './name-changes.js';

/** `api-reference/crm/data-types.md`, object types. */
const CONTACT = 3;

/**
 * Corrects the names of contacts. An event says which contact may have changed; the handler reads its names from the
 * portal. Each write causes an event of its own, for which nothing is left to change, so the loop ends; `CorrectionMemory` ends
 * the one with a second program that writes names.
 */
@Controller()
export class ContactNamesController {
  constructor(
    private readonly portals: PortalClients,
    private readonly settings: PortalSettings,
    private readonly memory: CorrectionMemory,
    private readonly counts: CorrectionCounts,
    @Optional() private readonly observer?: NameObserver,
  ) {}

  @OnPortalEvents(['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'])
  async formatNames({
    memberId,
    entries,
    hasMore = () => false,
  }: PortalBatch): Promise<(FailedEntry | PostponedEntry)[]> {
    const options = await nameOptionsOf(this.settings, memberId);
    const client = this.portals.for(memberId);
    const { changes, failed } = await findChanges(entries, await readContacts(client, entries), options);
    const admitted = await this.memory.admit(memberId, changes);
    const writes = admitted.map(toWrite);
    const { whole, left } = wholeRequests(writes, hasMore);
    const { written, unwritten } = await writeNames(client, whole);
    await this.memory.remember(memberId, written);
    await this.counts.add(memberId, 'name-formatter', written.length);
    for (const change of written) this.observer?.corrected({ memberId, ...namesOf(change) });
    if (this.observer) {
      const admittedIds = new Set(admitted.map(({ id }) => id));
      for (const { id, contact } of changes)
        if (!admittedIds.has(id)) this.observer.leftAlone({ memberId, name: fullName(contact) });
    }
    const postponed = left.map(({ entity }) => ({ entity, isPostponed: true as const }));
    return [...failed, ...unwritten, ...postponed];
  }
}

/** @throws PortalError DIRECTORY_UNAVAILABLE */
async function nameOptionsOf(settings: PortalSettings, memberId: string): Promise<NameOptions> {
  const { language, own } = await settings.of(memberId, 'name-formatter', nameSettings);
  return { ...own, language: own.language ?? language };
}

async function readContacts(
  client: PortalClient,
  entries: readonly PortalEntry[],
): Promise<Map<string, ItemOutcome>> {
  const ids = entries.flatMap(({ entityId }) => entityId ?? []);
  const query = { entityTypeId: CONTACT, ids, select: ['id', ...NAME_FIELDS] };
  return new Map((await readItems(client, [query])).flatMap(([, contacts]) => [...contacts]));
}

interface Change extends Correction {
  entity: string;
  contact: ItemOf<'contact'>;
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
    const item = toItem('contact', contact.item);
    const fields = findContactChanges(item, options);
    if (!fields) continue;
    changes.push({
      entity,
      id,
      fields,
      replaced: replacedBy(fields, item),
      contact: item,
      firstSeenAt,
    });
  }
  return { changes, failed };
}

function replacedBy(fields: NameChanges, contact: ItemOf<'contact'>): NameChanges {
  return Object.fromEntries(Object.keys(fields).map((field) => [field, contact[field]]));
}

function namesOf({ contact, fields, firstSeenAt }: Change): Omit<NameCorrection, 'memberId'> {
  return { before: fullName(contact), after: fullName({ ...contact, ...fields }), firstSeenAt };
}

/** A repeated write is harmless, so a batch of events may be handled again. */
async function writeNames<C extends Change>(
  client: PortalClient,
  writes: readonly NameWrite<C>[],
): Promise<{ written: C[]; unwritten: FailedEntry[] }> {
  const written: C[] = [];
  const unwritten: FailedEntry[] = [];
  for (const [{ change }, outcome] of await writeAll(client, writes)) {
    if (outcome.ok) written.push(change);
    else if (!isDeleted(outcome.error)) unwritten.push({ entity: change.entity, error: outcome.error });
  }
  return { written, unwritten };
}

/** Deleted since it was read. */
function isDeleted(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.code === 'NOT_FOUND';
}

interface NameWrite<C extends Change> extends Write {
  change: C;
}

function toWrite<C extends Change>(change: C): NameWrite<C> {
  const { entity, id, fields } = change;
  const params = { entityTypeId: CONTACT, id, fields: { ...fields } };
  return { change, entity, command: { method: 'crm.item.update', params } };
}
