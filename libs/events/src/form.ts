import { FormBuilder } from './form-builder.js';
import { FormError } from './form-error.js';
import { parseName } from './form-name.js';
import { decodeText } from './form-text.js';
import type { FormTree } from './form-tree.js';

export interface FormLimits {
  /** `name=value` pairs in a body. PHP cuts silently at its max_input_vars; here it is an error, since half an event is none. */
  maxPairs: number;
  /** Brackets in one name. */
  maxDepth: number;
  /** Characters of one decoded name. */
  maxKeyLength: number;
  /** Arrays in the whole form. One with a single number for a key takes a hundred times the work of a pair. */
  maxArrays: number;
}

/** The deepest sample of the official docs has 5 brackets, the largest 97 pairs. */
const DEFAULT_LIMITS: FormLimits = { maxPairs: 1000, maxDepth: 20, maxKeyLength: 512, maxArrays: 2000 };

/**
 * Decodes an `application/x-www-form-urlencoded` body with the meaning that PHP gives it, which is how Bitrix24 writes its
 * events (doc: api-reference/events/index.md). Compared with real PHP, only the order of a tree's keys is not kept:
 * JavaScript puts array indexes first.
 *
 * Throws FormError; never anything else, whatever the bytes. The size of the body is the caller's to limit.
 */
export function decodeForm(body: Uint8Array, limits: Partial<FormLimits> = {}): FormTree {
  const { maxPairs, maxDepth, maxKeyLength, maxArrays } = { ...DEFAULT_LIMITS, ...limits };
  const binary = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1');
  const form = new FormBuilder(maxArrays);

  let pairs = 0;
  let equals = -1;
  for (let start = 0; start < binary.length;) {
    if (++pairs > maxPairs) throw new FormError('too-many-pairs', `The form has more than ${maxPairs} pairs`);
    const end = indexOrEnd(binary, '&', start);
    if (equals < start) equals = indexOrEnd(binary, '=', start);
    const nameEnd = Math.min(equals, end);

    const name = decodeText(binary.slice(start, nameEnd));
    if (name.length > maxKeyLength) {
      throw new FormError('key-too-long', `A name of the form is longer than ${maxKeyLength} characters`);
    }
    const value = decodeText(binary.slice(nameEnd + 1, end));
    const path = parseName(name, maxDepth);
    if (path !== undefined) form.put(path, value);
    start = end + 1;
  }
  return form.root;
}

function indexOrEnd(text: string, character: string, from: number): number {
  const index = text.indexOf(character, from);
  return index === -1 ? text.length : index;
}
