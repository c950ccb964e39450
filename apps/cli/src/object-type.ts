import { UsageError } from './usage-error.js';

/** A CRM object type whose user fields are wanted. */
export interface ObjectType {
  entityTypeId: number;
  /** Part of names in code: `Deal`, `SmartProcess147`. */
  name: string;
}

/** `api-reference/crm/data-types.md`, object types. */
export const STANDARD_OBJECT_TYPES: readonly ObjectType[] = [
  { entityTypeId: 1, name: 'Lead' },
  { entityTypeId: 2, name: 'Deal' },
  { entityTypeId: 3, name: 'Contact' },
  { entityTypeId: 4, name: 'Company' },
  { entityTypeId: 7, name: 'Quote' },
  { entityTypeId: 31, name: 'Invoice' },
];

/** @throws UsageError */
export function parseObjectType(text: string): ObjectType {
  const standard = STANDARD_OBJECT_TYPES.find(({ name }) => name.toLowerCase() === text.toLowerCase());
  if (standard) return standard;
  const entityTypeId = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0;
  if (entityTypeId === 0 || entityTypeId > 2 ** 31 - 1) {
    const names = STANDARD_OBJECT_TYPES.map(({ name }) => name.toLowerCase());
    throw new UsageError(`must be ${names.join(', ')}, or the entityTypeId of a smart process, such as 147.`);
  }
  const known = STANDARD_OBJECT_TYPES.find((each) => each.entityTypeId === entityTypeId);
  return known ?? { entityTypeId, name: `SmartProcess${entityTypeId}` };
}
