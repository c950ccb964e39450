/** A PHP value that a form can represent. */
export type PhpValue = string | number | boolean | null | PhpValue[] | { [key: string]: PhpValue };

/**
 * Encodes as PHP's `http_build_query` does, with escaped brackets: null and empty arrays are omitted, booleans are 1
 * and 0.
 */
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

/** PHP's urlencode: letters, digits and `-_.` stay literal, a space is `+`. */
function urlencode(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

/** `value` as the receiver's `$_POST` holds it: all scalars as text, omitted values absent. */
export function asReceived(value: PhpValue): unknown {
  if (value === null) return undefined;
  if (typeof value !== 'object') return typeof value === 'boolean' ? String(Number(value)) : String(value);
  const children = Object.entries(value)
    .map(([key, child]) => [key, asReceived(child)] as const)
    .filter(([, child]) => child !== undefined);
  return children.length === 0 ? undefined : Object.fromEntries(children);
}
