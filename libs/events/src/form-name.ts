import { FormError } from './form-error.js';

/** `[]`: the next integer key. */
export const APPEND = Symbol('append');

/** One step into the tree: a key, or "the next integer key". */
export type Step = string | typeof APPEND;

/**
 * Reads a decoded name the way PHP does (`php_register_variable_ex` in php-src's main/php_variables.c):
 * - it ends at a NUL, and leading spaces do not count;
 * - in the part before the first `[`, and nowhere else, space and `.` become `_`;
 * - what follows a `]` counts only if it is another `[`;
 * - a first `[` that is never closed becomes `_`, as do the spaces, dots and brackets behind it; a later one is cut off.
 *
 * Returns undefined for a name that PHP drops (nothing before the first `[`). Throws FormError `too-deep`.
 * PHP's rule for the cookie prefixes `__Host-` and `__Secure-` is left out: no cookie is read here.
 */
export function parseName(rawName: string, maxDepth: number): Step[] | undefined {
  const name = trimName(rawName);
  let open = name.indexOf('[');
  const first = (open === -1 ? name : name.slice(0, open)).replace(/[ .]/g, '_');
  if (first === '') return undefined;

  const path: Step[] = [first];
  while (open !== -1) {
    if (path.length > maxDepth) {
      throw new FormError('too-deep', `A name of the form nests deeper than ${maxDepth} levels`);
    }
    const start = open + 1;
    const inside = isSpace(name.charCodeAt(start)) ? start + 1 : start;
    const close = name.indexOf(']', inside);
    if (close === -1) {
      return path.length === 1 ? [`${first}_${name.slice(start).replace(/[ .[]/g, '_')}`] : path;
    }
    path.push(close === inside ? APPEND : name.slice(start, close));
    open = name[close + 1] === '[' ? close + 1 : -1;
  }
  return path;
}

function trimName(name: string): string {
  const nul = name.indexOf('\0');
  const cut = nul === -1 ? name : name.slice(0, nul);
  return cut.startsWith(' ') ? cut.replace(/^ +/, '') : cut;
}

/** C's isspace(). */
function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}
