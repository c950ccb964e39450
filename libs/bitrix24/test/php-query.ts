/** Result of PHP's `parse_str`. Maps, so that no key is special; a list is a map with the keys 0, 1, 2 … */
export type PhpValue = string | PhpMap;
export type PhpMap = Map<string, PhpValue>;

export function parsePhpQuery(query: string): PhpMap {
  const root: PhpMap = new Map();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = unescape(equals < 0 ? pair : pair.slice(0, equals));
    put(root, keysOf(name), equals < 0 ? '' : unescape(pair.slice(equals + 1)));
  }
  return root;
}

function unescape(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

function keysOf(name: string): string[] {
  const open = name.indexOf('[');
  if (open < 0) return [name];
  return [
    name.slice(0, open),
    ...[...name.slice(open).matchAll(/\[([^\]]*)\]/g)].map((match) => match[1] ?? ''),
  ];
}

function put(map: PhpMap, [key = '', ...rest]: string[], value: string): void {
  if (rest.length === 0) {
    map.set(key, value);
    return;
  }
  const existing = map.get(key);
  const inner: PhpMap = existing instanceof Map ? existing : new Map<string, PhpValue>();
  map.set(key, inner);
  put(inner, rest, value);
}

/** The value at a path of keys; undefined if absent. */
export function dig(value: PhpValue | undefined, ...keys: string[]): PhpValue | undefined {
  return keys.reduce<PhpValue | undefined>((at, key) => (at instanceof Map ? at.get(key) : undefined), value);
}
