import { holdsReference, type Item } from '@relay/bitrix24';
import { formatName, type NameOptions } from './format-name.js';

/** Fields of a contact that hold a name (`api-reference/crm/universal/object-fields.md`). */
export const NAME_FIELDS = ['name', 'secondName', 'lastName'] as const;

export type NameChanges = Partial<Record<(typeof NAME_FIELDS)[number], string>>;

/** The fields of a contact that should read otherwise, with what they should read; undefined when all is well. */
export function nameChanges(contact: Item, options: NameOptions = {}): NameChanges | undefined {
  const changes: NameChanges = {};
  for (const field of NAME_FIELDS) {
    const value = contact[field];
    // No name. Such a text cannot travel in a batch, and a request for each contact would be the work of whoever sent many.
    if (typeof value !== 'string' || holdsReference(value)) continue;
    const formatted = formatName(value, options);
    if (formatted !== value) changes[field] = formatted;
  }
  return Object.keys(changes).length > 0 ? changes : undefined;
}
