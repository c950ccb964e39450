import { isUtf8 } from 'node:buffer';
import { emptyTree, type FormTree, isTree } from './form-tree.js';

/** Why a body is rejected. */
type FormErrorCode = 'invalid-utf8' | 'too-many-pairs' | 'too-deep' | 'too-many-arrays' | 'key-too-long';

/** Thrown by {@link decodeForm}. The message never contains the input. */
export class FormError extends Error {
  override readonly name = 'FormError';

  constructor(
    readonly code: FormErrorCode,
    message: string,
  ) {
    super(message);
  }
}

const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;
const LARGEST_KEY = 2n ** 63n - 1n;

/** `[]`: the next integer key. */
const APPEND = Symbol('append');

/** One step of a path: a key, or the next integer key. */
type Step = string | typeof APPEND;

export interface FormLimits {
  /**
   * `name=value` pairs in a body. PHP truncates silently at max_input_vars; here it is an error, because a truncated
   * event is useless.
   */
  maxPairs: number;
  /** Bracket pairs in one name. */
  maxDepth: number;
  /** Characters of one decoded name. */
  maxKeyLength: number;
  /** Arrays in the whole form. One with a single integer key costs a hundred times as much as a pair. */
  maxArrays: number;
}

/** The deepest sample of the official docs has 5 bracket pairs, the largest 97 pairs. */
const DEFAULT_LIMITS: FormLimits = { maxPairs: 1000, maxDepth: 20, maxKeyLength: 512, maxArrays: 2000 };

/**
 * Decodes an `application/x-www-form-urlencoded` body as PHP does, because Bitrix24 writes its events with PHP
 * (api-reference/events/index.md). The only difference from PHP is the order of a tree's keys: JavaScript puts array
 * indexes first.
 *
 * Throws FormError and nothing else, for any bytes. The caller limits the size of the body.
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

    const encodedName = binary.slice(start, nameEnd);
    const known = findKnownName(encodedName, maxKeyLength, maxDepth);
    const path = known ? known.path : readName(encodedName, maxKeyLength, maxDepth);
    const value = decodeText(binary.slice(nameEnd + 1, end));
    if (path !== undefined) form.put(path, value);
    start = end + 1;
  }
  return form.root;
}

interface KnownName {
  path: readonly Step[];
  /** Characters of the decoded name. */
  length: number;
  brackets: number;
}

/**
 * Cache of decoded names by their encoded form: events repeat a few of them. A client that posts other names evicts
 * them for a while.
 */
const knownNames = new Map<string, KnownName>();
const MAX_KNOWN_NAMES = 500;
const MAX_KNOWN_LENGTH = 64;

/** Undefined also if a limit is exceeded: `readName` then throws the matching error. */
function findKnownName(encoded: string, maxKeyLength: number, maxDepth: number): KnownName | undefined {
  if (encoded.length > MAX_KNOWN_LENGTH) return undefined;
  const known = knownNames.get(encoded);
  if (known === undefined || known.length > maxKeyLength || known.brackets > maxDepth) return undefined;
  return known;
}

/** Throws FormError `invalid-utf8`, `key-too-long` or `too-deep`. */
function readName(encoded: string, maxKeyLength: number, maxDepth: number): readonly Step[] | undefined {
  // A copy, because a substring keeps the whole body in memory.
  const isShort = encoded.length <= MAX_KNOWN_LENGTH;
  const own = isShort ? Buffer.from(encoded, 'latin1').toString('latin1') : encoded;
  const name = decodeText(own);
  if (name.length > maxKeyLength) {
    throw new FormError('key-too-long', `A name of the form is longer than ${maxKeyLength} characters`);
  }
  const path = parseName(name, maxDepth);
  if (path !== undefined && isShort) {
    if (knownNames.size >= MAX_KNOWN_NAMES) knownNames.clear();
    knownNames.set(own, { path, length: name.length, brackets: name.split('[').length - 1 });
  }
  return path;
}

function indexOrEnd(text: string, character: string, from: number): number {
  const index = text.indexOf(character, from);
  return index === -1 ? text.length : index;
}

/**
 * Decodes one name or value as PHP's `urldecode` does: `+` is a space, an invalid escape stays literal.
 * Takes a binary string (one character per byte), so that raw and escaped bytes of one character are joined.
 * Throws FormError `invalid-utf8`.
 */
function decodeText(binary: string): string {
  if (!/[%+\x80-\xff]/.test(binary)) return binary;
  return decodeAscii(binary) ?? decodeBytes(Buffer.from(binary, 'latin1'));
}

/**
 * Fast path without decodeURIComponent and its exceptions. Undefined if the text is not ASCII or has an invalid escape.
 */
function decodeAscii(binary: string): string | undefined {
  if (/[\x80-\xff]/.test(binary)) return undefined;
  const escaped = binary.includes('+') ? binary.replaceAll('+', ' ') : binary;
  let decoded = '';
  let from = 0;
  for (let at = escaped.indexOf('%'); at !== -1; at = escaped.indexOf('%', from)) {
    const byte = hexDigit(escaped.charCodeAt(at + 1)) * 16 + hexDigit(escaped.charCodeAt(at + 2));
    if (Number.isNaN(byte) || byte > 0x7f) return undefined;
    decoded += escaped.slice(from, at) + String.fromCharCode(byte);
    from = at + 3;
  }
  return from === 0 ? escaped : decoded + escaped.slice(from);
}

/** Decodes in place: the output is never longer than the input. */
function decodeBytes(bytes: Buffer): string {
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === PERCENT) {
      const escaped = hexDigit(bytes[at + 1]) * 16 + hexDigit(bytes[at + 2]);
      if (Number.isNaN(escaped)) {
        bytes[length++] = PERCENT;
      } else {
        bytes[length++] = escaped;
        at += 2;
      }
    } else {
      bytes[length++] = byte === PLUS ? SPACE : byte;
    }
  }
  const decoded = bytes.subarray(0, length);
  if (!isUtf8(decoded)) throw new FormError('invalid-utf8', 'The form is not valid UTF-8');
  return decoded.toString('utf8');
}

/** NaN for any other byte, and beyond the end. */
function hexDigit(byte = Number.NaN): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : Number.NaN;
}

/**
 * Parses a decoded name as PHP does (`php_register_variable_ex` in php-src's main/php_variables.c):
 * - it ends at a NUL, and leading spaces are skipped;
 * - only in the part before the first `[`, space and `.` become `_`;
 * - text after a `]` is ignored unless it is another `[`;
 * - an unclosed first `[` becomes `_`, as do the spaces, dots and brackets after it; a later one is dropped.
 *
 * Returns undefined for a name that PHP drops (nothing before the first `[`). Throws FormError `too-deep`.
 * PHP's rule for the cookie prefixes `__Host-` and `__Secure-` does not apply: no cookie is read here.
 */
function parseName(rawName: string, maxDepth: number): Step[] | undefined {
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

/**
 * Inserts values into a tree by PHP's rules for arrays: the last of equal keys wins, also between a text and an array.
 */
class FormBuilder {
  readonly root: FormTree = emptyTree();
  /** Next integer key of every tree with an append. Created on demand, because Bitrix24 never writes `[]`. */
  private nextKeys: Map<FormTree, bigint> | undefined;
  private arrays = 0;

  constructor(private readonly maxArrays: number) {}

  /** Throws FormError `too-many-arrays`. */
  put(path: readonly Step[], value: string): void {
    const last = path.length - 1;
    let tree = this.root;
    for (let depth = 0; depth <= last; depth++) {
      const step = path[depth] ?? APPEND;
      const key = step === APPEND ? this.nextKey(tree) : step;
      if (key === undefined) return;
      if (depth === last) {
        this.set(tree, key, value);
        return;
      }
      const there = tree[key];
      const child = isTree(there) ? there : this.newArray();
      if (child !== there) this.set(tree, key, child);
      tree = child;
    }
  }

  private newArray(): FormTree {
    if (++this.arrays > this.maxArrays) {
      throw new FormError('too-many-arrays', `The form has more than ${this.maxArrays} arrays`);
    }
    return emptyTree();
  }

  private set(tree: FormTree, key: string, value: FormTree | string): void {
    tree[key] = value;
    const next = this.nextKeys?.get(tree);
    if (next === undefined) return;
    const integer = integerKey(key);
    if (integer !== undefined && integer >= next) this.nextKeys?.set(tree, integer + 1n);
  }

  /**
   * The largest integer key plus one, 0 in a tree without integer keys; undefined after PHP_INT_MAX, where PHP drops
   * the value.
   */
  private nextKey(tree: FormTree): string | undefined {
    this.nextKeys ??= new Map();
    let next = this.nextKeys.get(tree);
    if (next === undefined) {
      const keys = Object.keys(tree)
        .map(integerKey)
        .filter((key) => key !== undefined);
      next = keys.length === 0 ? 0n : keys.reduce((most, key) => (key > most ? key : most)) + 1n;
      this.nextKeys.set(tree, next);
    }
    return next > LARGEST_KEY ? undefined : next.toString();
  }
}

/** A key is an integer for PHP if it is in canonical decimal form and fits in 64 bits. */
function integerKey(key: string): bigint | undefined {
  if (!/^(?:0|-?[1-9]\d{0,18})$/.test(key)) return undefined;
  const integer = BigInt(key);
  return integer <= LARGEST_KEY && integer >= -LARGEST_KEY ? integer : undefined;
}
