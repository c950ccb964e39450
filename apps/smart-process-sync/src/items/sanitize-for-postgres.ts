export type Json = string | number | boolean | null | Json[] | JsonRecord;
export type JsonRecord = { [key: string]: Json };

/** Far deeper than any field of Bitrix24, far less than PostgreSQL's stack allows. */
const MAX_DEPTH = 50;

/**
 * The address at which a program loads a file contains the caller's credentials: a webhook's secret, or a token that
 * expires within the hour (`api-reference/crm/universal/object-fields.md`).
 * Readers of the mirror must not see it; they use `url`.
 */
const NOT_KEPT = 'urlMachine';

/**
 * A JSON value that PostgreSQL can store as `jsonb`, which has no NUL character and no lone surrogate
 * (https://www.postgresql.org/docs/current/datatype-json.html); both become U+FFFD. Values
 * that are nested too deeply become null.
 *
 * An unchanged value is returned itself, and only the path to a change is copied: items come by the thousand, and
 * a copy of each took longer than parsing its text.
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

/** The same for an item's fields. */
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
  // Before the values: two visits per level would visit the innermost value 2^50 times.
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

/** The value comes from JSON, which has no other objects. */
function isRecord(value: object | null): value is JsonRecord {
  return value !== null;
}

/** Most texts have none, and the check is much cheaper than a replacement. */
const UNSTORABLE = /[\0\uD800-\uDFFF]/;

function sanitizeText(text: string): string {
  if (!UNSTORABLE.test(text)) return text;
  return text.replaceAll('\0', '\uFFFD').replace(/\p{Surrogate}/gu, '\uFFFD');
}
