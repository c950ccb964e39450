export type Json = string | number | boolean | null | Json[] | JsonRecord;
export type JsonRecord = { [key: string]: Json };

/** Far more than any field of Bitrix24 has, far less than PostgreSQL's stack takes. */
const MAX_DEPTH = 50;

/**
 * The address at which a program loads a file has the caller's own credentials in it: a webhook's secret, or a token that is
 * dead within the hour (`api-reference/crm/universal/object-fields.md`). It is not for people who query; `url` is.
 */
const NOT_KEPT = 'urlMachine';

/**
 * A JSON value that PostgreSQL can keep as `jsonb`: it knows no NUL character and no half of a surrogate pair
 * (https://www.postgresql.org/docs/current/datatype-json.html); both become U+FFFD. What is nested too deeply becomes null.
 *
 * What may stay as it is is returned itself, and only the way to what changes is copied: items come by the thousand, and
 * to build each anew took longer than to read it from its text.
 */
export function sanitizeForPostgres(value: unknown, depth = 0): Json {
  switch (typeof value) {
    case 'string':
      return sanitizeText(value);
    case 'number':
      return Number.isFinite(value) ? value : null;
    case 'boolean':
      return value;
    case 'object':
      if (depth === MAX_DEPTH) return null;
      if (isList(value)) return sanitizeList(value, depth + 1);
      return isRecord(value) ? sanitizeRecord(value, depth + 1) : null;
    default:
      return null;
  }
}

/** The same of an item's fields. */
export function sanitizeFields(fields: Readonly<Record<string, unknown>>): JsonRecord {
  return isRecord(fields) ? sanitizeRecord(fields, 1) : {};
}

function sanitizeList(list: Json[], depth: number): Json[] {
  let kept = list;
  for (const [index, element] of list.entries()) {
    const value = sanitizeForPostgres(element, depth);
    if (value === element) continue;
    if (kept === list) kept = [...list];
    kept[index] = value;
  }
  return kept;
}

function sanitizeRecord(record: JsonRecord, depth: number): JsonRecord {
  // Before any value is looked at: to look twice at each level would be to look 2^50 times at the innermost.
  for (const key in record) if (!isKept(key)) return sanitizeKeys(record, depth);
  let kept = record;
  for (const key in record) {
    const element = record[key];
    const value = sanitizeForPostgres(element, depth);
    if (value === element) continue;
    if (kept === record) kept = { ...record };
    kept[key] = value;
  }
  return kept;
}

function isKept(key: string): boolean {
  return key !== NOT_KEPT && sanitizeText(key) === key;
}

function sanitizeKeys(record: JsonRecord, depth: number): JsonRecord {
  const entries = Object.entries(record).filter(([key]) => key !== NOT_KEPT);
  return Object.fromEntries(
    entries.map(([key, element]) => [sanitizeText(key), sanitizeForPostgres(element, depth)]),
  );
}

function isList(value: object | null): value is Json[] {
  return Array.isArray(value);
}

/** It comes from a JSON text, where nothing else is an object. */
function isRecord(value: object | null): value is JsonRecord {
  return value !== null;
}

/** Most texts have nothing of the kind, and to look is much cheaper than to replace. */
const UNSTORABLE = /[\0\uD800-\uDFFF]/;

function sanitizeText(text: string): string {
  if (!UNSTORABLE.test(text)) return text;
  return text.replaceAll('\0', '\uFFFD').replace(/\p{Surrogate}/gu, '\uFFFD');
}
