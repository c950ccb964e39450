/**
 * The value of a REST parameter. `undefined` is omitted, as in JSON. Bitrix24's booleans are mostly the strings `Y` and
 * `N` (`api-reference/data-types.md`). The caller knows what a method expects, so booleans are not converted here.
 */
export type ParamValue =
  | string
  | number
  | boolean
  | null
  | undefined
  | readonly ParamValue[]
  | { readonly [key: string]: ParamValue };

export interface Params {
  readonly [name: string]: ParamValue;
}

/**
 * Encodes parameters as the query string of a batch command, in the format of PHP's `http_build_query` and `parse_str`:
 * `filter[@id][0]=1`, `true` and `false` as 1 and 0. Everything is escaped, also a colon, on which `parse_url` fails.
 *
 * Two differences from PHP, which would drop such values: `null` becomes the empty string, which clears a field
 * (`api-reference/crm/universal/crm-item-update.md`); and a value that a query string cannot carry is an error, because
 * without it an update would change less, and a filter would match more.
 *
 * @throws TypeError for an empty list or object, a number that is not finite, a name with brackets
 */
export function encodeQuery(params: Params): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) append(query, checkName(name), value);
  return query.toString();
}

function append(query: URLSearchParams, name: string, value: ParamValue): void {
  if (value === undefined) return;
  if (typeof value !== 'object' || value === null) {
    query.append(name, spell(name, value));
    return;
  }
  const entries = isList(value)
    ? value.map((element, index) => [String(index), element ?? null] as const)
    : Object.entries(value).filter(([, element]) => element !== undefined);
  if (entries.length === 0) {
    throw new TypeError(`${name} is empty: a batch command cannot carry that; leave it out or use call()`);
  }
  for (const [key, element] of entries) append(query, `${name}[${checkName(key)}]`, element);
}

function spell(name: string, value: string | number | boolean | null): string {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new TypeError(`${name} is not a finite number`);
  return String(value);
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(value: ParamValue): value is readonly ParamValue[] {
  return Array.isArray(value);
}

function checkName(name: string): string {
  if (!/^[^[\]\0]+$/.test(name)) throw new TypeError('a parameter name is empty or has brackets in it');
  return name;
}

/**
 * Whether a string contains a reference that a portal substitutes inside a batch: `$result[read][ID]`, and likewise
 * `$total`, `$next`, `$time`, `$error`, in any case and at any position. It cannot be escaped, so external text (a
 * contact's name, a comment) with a reference must be sent by `call`, not by `batch`.
 */
export function holdsReference(text: string): boolean {
  return /\$(?:result|next|total|time|error)\S*\[[^\]]+\]/i.test(text);
}

/**
 * A method's name becomes part of a URL or of a batch command, where `/`, `?` or `..` would change the request.
 *
 * @throws TypeError
 */
export function checkMethod(method: string): string {
  if (!/^\w+(?:\.\w+)*$/.test(method)) throw new TypeError('not the name of a REST method');
  return method;
}
