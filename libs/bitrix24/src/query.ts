/**
 * What a REST parameter can be. `undefined` is left out, as JSON does.
 * Bitrix24's booleans are mostly the strings `Y` and `N` (`api-reference/data-types.md`): which of them a method wants
 * is the caller's knowledge, so nothing is turned into them here.
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
 * Parameters as the query of a batch command, spelled as PHP's `http_build_query` does and its `parse_str` reads:
 * `filter[@id][0]=1`, `true` and `false` as 1 and 0. Everything is escaped, a colon too, on which PHP's `parse_url` trips.
 *
 * Two differences, both so that nothing is lost on the way: `null` becomes the empty string, which clears a field
 * (`api-reference/crm/universal/crm-item-update.md`), where PHP would drop it; and what a query cannot carry is refused,
 * where PHP would drop it too: an update would do less, a filter would let more through.
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
 * Whether a text has something in it that a portal replaces inside a batch: `$result[read][ID]`, and likewise
 * `$total`, `$next`, `$time`, `$error`, in any case and anywhere in the text. There is no way to escape it, so a
 * text from outside (a contact's name, a comment) of which this is true must be sent by `call`, not by `batch`.
 */
export function holdsReference(text: string): boolean {
  return /\$(?:result|next|total|time|error)\S*\[[^\]]+\]/i.test(text);
}
