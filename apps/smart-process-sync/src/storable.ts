export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

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
 */
export function storable(value: unknown, depth = 0): Json {
  if (typeof value === 'string') return storableText(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'object' || value === null || depth === MAX_DEPTH) return null;
  if (Array.isArray(value)) return value.map((element) => storable(element, depth + 1));
  const kept: { [key: string]: Json } = {};
  for (const [key, element] of Object.entries(value)) {
    if (key !== NOT_KEPT) kept[storableText(key)] = storable(element, depth + 1);
  }
  return kept;
}

/** Most texts have nothing of the kind, and to look is much cheaper than to replace. */
const UNSTORABLE = /[\0\uD800-\uDFFF]/;

function storableText(text: string): string {
  if (!UNSTORABLE.test(text)) return text;
  return text.replaceAll('\0', '\uFFFD').replace(/\p{Surrogate}/gu, '\uFFFD');
}
