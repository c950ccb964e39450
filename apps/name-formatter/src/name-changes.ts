import { holdsReference, type Item } from '@relay/bitrix24';
import { formatName, type NameOptions } from './format-name.js';

/** Fields of a contact that hold a name (`api-reference/crm/universal/object-fields.md`). */
export const NAME_FIELDS = ['name', 'secondName', 'lastName'] as const;

export type NameChanges = Partial<Record<(typeof NAME_FIELDS)[number], string>>;

/** The name fields of a contact that need correction, with their correct values; undefined if none does. */
export function findNameChanges(contact: Item, options: NameOptions = {}): NameChanges | undefined {
  const changes: NameChanges = {};
  for (const field of NAME_FIELDS) {
    const value = contact[field];
    // A batch would replace such a text, which is no name; one request per contact would let a portal cause many requests.
    if (typeof value !== 'string' || holdsReference(value)) continue;
    const formatted = formatName(value, options);
    if (formatted !== value) changes[field] = formatted;
  }
  return Object.keys(changes).length > 0 ? changes : undefined;
}

/** Full names. Personal data: to be shown, never logged. */
export interface NameCorrection {
  memberId: string;
  before: string;
  after: string;
  /** When the gateway received the event, in milliseconds. */
  firstSeenAt: number;
}

/** Gets every correction. Provided only where a person watches, as in apps/standalone. */
export abstract class NameObserver {
  abstract corrected(correction: NameCorrection): void;
}

export function fullName(contact: Item): string {
  return NAME_FIELDS.map((field) => contact[field])
    .filter((part) => typeof part === 'string' && part !== '')
    .join(' ');
}
