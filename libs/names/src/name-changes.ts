import type { NameContext, NameOptions } from './field.js';
import { formatName, hasDeliberateCase } from './format-name.js';
import { z } from 'zod';

/**
 * Settings of a portal: `relay portals set <member_id> name-formatter <json>`. The language overrides that of the install:
 * Dutch and Azerbaijani portals in the cloud run in English or Russian, and a webhook pair has no language.
 */
export const nameSettings = z.strictObject({
  language: z.string().optional(),
  particles: z.enum(['lower', 'capital']).optional(),
  firstWord: z.enum(['asWritten', 'capital']).optional(),
});

/** Fields of a contact that hold a name (`api-reference/crm/universal/object-fields.md`). */
export const NAME_FIELDS = ['name', 'secondName', 'lastName'] as const;

type NameField = (typeof NAME_FIELDS)[number];

export type NameChanges = Partial<Record<NameField, string>>;

/**
 * The name fields of a contact that need correction, with their correct values; undefined if none does. A field that holds no text
 * is ignored.
 */
export function findNameChanges(
  contact: Partial<Record<NameField, unknown>>,
  options: NameOptions = {},
): NameChanges | undefined {
  const values = NAME_FIELDS.flatMap((field): [NameField, string][] => {
    const value = contact[field];
    return typeof value === 'string' ? [[field, value]] : [];
  });
  const careful = new Set(
    values.flatMap(([field, value]) => (hasDeliberateCase(value, options) ? field : [])),
  );
  const changes = values.flatMap(([field, value]): [NameField, string][] => {
    const formatted = formatName(value, options, contextOf(field, careful));
    return formatted === value ? [] : [[field, formatted]];
  });
  return changes.length > 0 ? Object.fromEntries(changes) : undefined;
}

function contextOf(field: NameField, careful: ReadonlySet<NameField>): NameContext {
  return {
    isBesideDeliberate: careful.size > (careful.has(field) ? 1 : 0),
    isBetweenDeliberate: field === 'secondName' && careful.has('name') && careful.has('lastName'),
  };
}
