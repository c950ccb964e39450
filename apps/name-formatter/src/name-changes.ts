import { holdsReference, type ItemOf } from '@relay/bitrix24';
import { findNameChanges, NAME_FIELDS, type NameChanges, type NameOptions } from '@relay/names';

/** The name fields of a contact that need correction, with their correct values; undefined if none does. */
export function findContactChanges(
  contact: ItemOf<'contact'>,
  options: NameOptions = {},
): NameChanges | undefined {
  // A batch would replace such a text, which is no name; one request per contact would let a portal cause many requests.
  const written = NAME_FIELDS.flatMap((field) => {
    const value = contact[field];
    return typeof value === 'string' && !holdsReference(value) ? [[field, value]] : [];
  });
  return findNameChanges(Object.fromEntries(written), options);
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
  /** @param contact what would have been corrected, had `CorrectionMemory` not left it alone */
  abstract leftAlone(contact: { memberId: string; name: string }): void;
}

export function fullName(contact: ItemOf<'contact'>): string {
  return NAME_FIELDS.map((field) => contact[field])
    .filter((part) => typeof part === 'string' && part !== '')
    .join(' ');
}
