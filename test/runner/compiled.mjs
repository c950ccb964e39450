import { createHash } from 'node:crypto';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');
/** Not among the temporary files: it outlives a run. */
export const CACHE = join(ROOT, 'node_modules/.cache/specs');

/** Where the code of a source file is kept; its source map has `.map` behind it. @param {string} path of the source */
export function compiledPath(path) {
  return join(CACHE, `${createHash('sha256').update(path).digest('hex')}.js`);
}
