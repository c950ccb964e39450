import { integerOf, isTree, listOf, textOf, type Value } from '../protocol/php.js';
import { invalidFieldValue, notIterable } from '../protocol/rest-error.js';
import { normalizeDate, normalizeTimestamp } from '../protocol/timestamp.js';
import type { UserField } from './user-field.js';

/** What a field shows for which nothing was given. */
export function emptyUserValue({ type, isMultiple }: UserField): Value {
  if (isMultiple) return [];
  return type === 'boolean' ? 'N' : null;
}

/**
 * What is kept of a written value, in the form that crm.item.* shows (crm-item-add.md, crm-item-update.md, and for
 * files how-to-update-files.md). @throws RestError CRM_FIELD_ERROR_VALUE_NOT_VALID; 100 for a scalar where many are due
 */
export function storedUserValue(field: UserField, value: Value, nextFile: () => number): Value {
  if (!field.isMultiple) return storedOne(field, value, nextFile);
  if (value === null || value === '') return [];
  if (!Array.isArray(value) && !isTree(value)) throw notIterable(typeof value);
  return listOf(value)
    .map((one) => storedOne(field, one, nextFile))
    .filter((one) => one !== null);
}

function storedOne(field: UserField, value: Value, nextFile: () => number): Value {
  if (field.type === 'file') return storedFile(field, value, nextFile);
  if (value === null) return emptyUserValue({ ...field, isMultiple: false });
  const text = textOf(value);
  if (text === undefined) throw invalidFieldValue(field.name);
  if (text.trim() === '' && field.type !== 'boolean') return field.type === 'string' ? text : null;
  switch (field.type) {
    case 'boolean':
      return text === 'Y' || text === '1' || text === 'true' ? 'Y' : 'N';
    case 'double':
      return finite(field, Number(text));
    case 'integer':
    case 'employee':
    case 'iblock_section':
    case 'iblock_element':
      return whole(field, text);
    case 'enumeration':
      return option(field, text);
    case 'date':
      return normalizeDate(text) ?? invalid(field);
    case 'datetime':
      return normalizeTimestamp(text) ?? invalid(field);
    default:
      return text;
  }
}

/** `[name, content]` is a new file; `{id}` keeps the one that is there. The content itself is not kept. */
function storedFile(field: UserField, value: Value, nextFile: () => number): Value {
  if (value === null || value === '') return null;
  const id = isTree(value) ? integerOf(value['id']) : undefined;
  if (id !== undefined) return { id };
  if (listOf(value).length !== 2) return invalid(field);
  return { id: nextFile() };
}

function option(field: UserField, text: string): number {
  const id = whole(field, text);
  return field.items.some((item) => item.id === id) ? id : invalid(field);
}

function whole(field: UserField, text: string): number {
  return integerOf(text) ?? invalid(field);
}

function finite(field: UserField, number: number): number {
  return Number.isFinite(number) ? number : invalid(field);
}

function invalid(field: UserField): never {
  throw invalidFieldValue(field.name);
}
