/** A value that a PHP array, a JSON document and a form can represent. */
export type Value = string | number | boolean | null | Value[] | Values;
export interface Values {
  [key: string]: Value;
}

export function isTree(value: Value | undefined): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The values of a list: a JSON array, a form's `a[0]=…&a[1]=…`, or one scalar. */
export function listOf(value: Value | undefined): Value[] {
  if (value === undefined || value === null || value === '') return [];
  if (Array.isArray(value)) return value;
  return isTree(value) ? Object.values(value) : [value];
}

/** A tree of a tree or a list; empty for anything else. */
export function treeOf(value: Value | undefined): Values {
  if (isTree(value)) return value;
  return Array.isArray(value) ? Object.fromEntries(value.map((child, index) => [String(index), child])) : {};
}

/** A parameter by name, regardless of case, as the classic methods read it. */
export function argument(params: Values, name: string): Value | undefined {
  const key = Object.keys(params).find((one) => one.toLowerCase() === name.toLowerCase());
  return key === undefined ? undefined : params[key];
}

/** A scalar as PHP prints it; undefined for anything else. */
export function textOf(value: Value | undefined): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? '1' : '';
  return undefined;
}

/** A whole number, or undefined. */
export function integerOf(value: Value | undefined): number | undefined {
  const text = textOf(value)?.trim();
  if (text === undefined || !/^-?\d+$/.test(text)) return undefined;
  return Number(text);
}

/** `(bool)$value` */
export function isTruthy(value: Value | undefined): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isTree(value)) return Object.keys(value).length > 0;
  return value !== '0' && Boolean(value);
}

/**
 * What `json_encode` makes of a PHP array: a list if the keys are 0, 1, 2 … in this order, so `[]` and not `{}` for an
 * empty one; an object otherwise. (settings/how-to-call-rest-api/batch.md shows the empty sections)
 */
export function phpArray(entries: readonly (readonly [string, Value])[]): Value[] | Values {
  if (entries.every(([key], position) => key === String(position))) return entries.map(([, value]) => value);
  const tree = emptyTree();
  for (const [key, value] of entries) tree[key] = value;
  return tree;
}

/** `parse_str`: nesting by brackets, `a[]` appends, the last of equal keys wins. */
export function decodeForm(text: string): Values {
  const tree = emptyTree();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const key = decodeUrl(equals < 0 ? pair : pair.slice(0, equals));
    if (key === '' || key.startsWith('[')) continue;
    assign(tree, pathOf(key), equals < 0 ? '' : decodeUrl(pair.slice(equals + 1)));
  }
  return tree;
}

/** `http_build_query`: depth first, brackets escaped, a space becomes `+`, null is left out, booleans are 1 and 0. */
export function encodeForm(values: Values): string {
  const pairs: string[] = [];
  const walk = (name: string, value: Value): void => {
    if (value === null) return;
    if (typeof value === 'object') {
      for (const [key, child] of Object.entries(value)) walk(`${name}[${key}]`, child);
    } else {
      const text = typeof value === 'boolean' ? String(Number(value)) : String(value);
      pairs.push(`${encodeUrl(name)}=${encodeUrl(text)}`);
    }
  };
  for (const [key, value] of Object.entries(values)) walk(key, value);
  return pairs.join('&');
}

/** Has no prototype, so `__proto__` is an ordinary key. */
export function emptyTree(): Values {
  return { __proto__: null };
}

function pathOf(key: string): string[] {
  const bracket = key.indexOf('[');
  if (bracket < 0 || !key.includes(']', bracket)) return [key.replaceAll(/[ .[]/g, '_')];
  const path = [key.slice(0, bracket).replaceAll(/[ .]/g, '_')];
  for (let open = bracket; open >= 0;) {
    const close = key.indexOf(']', open);
    if (close < 0) break;
    path.push(key.slice(open + 1, close));
    open = key.indexOf('[', close);
  }
  return path;
}

function assign(tree: Values, path: readonly string[], value: string): void {
  let node = tree;
  for (const [depth, part] of path.entries()) {
    const key = part === '' && depth > 0 ? nextIndex(node) : part;
    if (depth === path.length - 1) {
      node[key] = value;
      return;
    }
    const child = node[key];
    node = isTree(child) ? child : (node[key] = emptyTree());
  }
}

function nextIndex(node: Values): string {
  let next = 0;
  for (const key of Object.keys(node)) if (/^\d+$/.test(key)) next = Math.max(next, Number(key) + 1);
  return String(next);
}

function decodeUrl(text: string): string {
  if (!/[%+]/.test(text)) return text;
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced; // PHP keeps what it cannot decode
  }
}

function encodeUrl(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%20', '+')
    .replaceAll(/[!'()*~]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}
