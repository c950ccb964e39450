/** What PHP can put into a form. */
export type PhpValue = string | number | boolean | null | PhpValue[] | { [key: string]: PhpValue };

/** Encodes as PHP's `http_build_query` does, brackets escaped: null and empty arrays leave no trace, booleans are 1 and 0. */
export function httpBuildQuery(form: { [key: string]: PhpValue }): string {
  return Object.entries(form)
    .flatMap(([key, value]) => pairs(urlencode(key), value))
    .join('&');
}

export function httpBody(form: { [key: string]: PhpValue }): Buffer {
  return Buffer.from(httpBuildQuery(form));
}

function pairs(name: string, value: PhpValue): string[] {
  if (value === null) return [];
  if (typeof value === 'object') {
    return Object.entries(value).flatMap(([key, child]) => pairs(`${name}%5B${urlencode(key)}%5D`, child));
  }
  return [`${name}=${urlencode(typeof value === 'boolean' ? String(Number(value)) : String(value))}`];
}

/** PHP's urlencode: only letters, digits and `-_.` stay, a space is `+`. */
function urlencode(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

/** What `$_POST` holds of `value` on the other side: texts all, and nothing where nothing was written. */
export function asReceived(value: PhpValue): unknown {
  if (value === null) return undefined;
  if (typeof value !== 'object') return typeof value === 'boolean' ? String(Number(value)) : String(value);
  const children = Object.entries(value)
    .map(([key, child]) => [key, asReceived(child)] as const)
    .filter(([, child]) => child !== undefined);
  return children.length === 0 ? undefined : Object.fromEntries(children);
}
