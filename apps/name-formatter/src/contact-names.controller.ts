import { Controller, Optional } from '@nestjs/common';
import { type Command, type Item, MAX_BATCH_COMMANDS, type PortalClient } from '@relay/bitrix24';
import { type FailedEntry, OnPortalEvents, type PortalBatch, type PortalEntry } from '@relay/bus';
import { PortalClients, PortalSettings } from '@relay/portals';
import type { NameOptions } from './format-name.js';
import { NAME_FIELDS, type NameChanges, nameChanges } from './name-changes.js';
import { fullName, NameObserver } from './name-observer.js';
import { nameOptionsOf } from './name-options.js';

/** `api-reference/crm/data-types.md`, object types. */
const CONTACT = 3;

/**
 * Keeps the names of contacts well written. The events say which contacts to look at; what they hold is read.
 * Our own write fires an event too: on that one there is nothing left to change, and so it ends.
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
    const ids = entries.flatMap(({ entityId }) => entityId ?? []);
    const contacts = await client.listByIds(CONTACT, ids, { select: ['id', ...NAME_FIELDS] });
    return await writeNames(client, findChanges(entries, contacts, options), (change) =>
      this.observer?.corrected({ memberId, ...change }),
    );
  }
}

interface Change {
  entity: string;
  id: string;
  fields: NameChanges;
  before: string;
  after: string;
  firstSeenAt: number;
}

/** A contact that is not there any more needs nothing. */
function findChanges(entries: PortalEntry[], contacts: Map<string, Item>, options: NameOptions): Change[] {
  return entries.flatMap(({ entity, entityId: id, firstSeenAt }) => {
    const contact = id === null ? undefined : contacts.get(id);
    const fields = contact && nameChanges(contact, options);
    if (id === null || !fields) return [];
    const [before, after] = [fullName(contact), fullName({ ...contact, ...fields })];
    return [{ entity, id, fields, before, after, firstSeenAt }];
  });
}

/** Fifty contacts a request. To write a name twice does no harm, so a batch of events may be handled again. */
async function writeNames(
  client: PortalClient,
  changes: Change[],
  written: (change: Change) => void,
): Promise<FailedEntry[]> {
  const failed: FailedEntry[] = [];
  for (let start = 0; start < changes.length; start += MAX_BATCH_COMMANDS) {
    const chunk = changes.slice(start, start + MAX_BATCH_COMMANDS);
    const outcomes = await client.batch(Object.fromEntries(chunk.map(updateCommand)));
    for (const change of chunk) {
      const outcome = outcomes[commandKey(change)];
      if (outcome?.ok) written(change);
      // Deleted since it was read: nothing left to do.
      if (outcome?.ok === false && outcome.error.code !== 'NOT_FOUND') {
        failed.push({ entity: change.entity, error: outcome.error });
      }
    }
  }
  return failed;
}

function updateCommand(change: Change): [key: string, command: Command] {
  const { id, fields } = change;
  return [
    commandKey(change),
    { method: 'crm.item.update', params: { entityTypeId: CONTACT, id, fields: { ...fields } } },
  ];
}

function commandKey({ id }: Change): string {
  return `contact${id}`;
}
