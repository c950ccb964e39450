import { types } from 'node:util';
import { escapeUnprintable } from './printable.js';
import { isPublicName, isSecretName, mayContainSecret, PLACEHOLDER, redactText } from './redact-text.js';

/** Limits of depth, width and size for a log line. */
const MAX_DEPTH = 8;
const MAX_WIDTH = 100;
const MAX_SIZE = 2_000;

/**
 * Copies a value for JSON, without secrets: a value with a secret name becomes `[redacted]`, every other text (names,
 * too) passes through `redactText`. Errors are converted by `describeError`; Maps, Headers and query parameters show
 * their entries, bytes their number. Cycles, throwing getters, and values that exceed a limit are replaced by a marker.
 */
export function redactValue(value: unknown): unknown {
  return new RedactingVisitor().show(value, 0, false);
}

/**
 * The standard fields of an error, and its causes only: drivers and libraries add queries with parameters, rows, or
 * addresses with passwords to their errors. Always has a `message`, whatever was thrown.
 */
export function describeError(error: unknown): object {
  return new RedactingVisitor().describe(error, 0);
}

class RedactingVisitor {
  private readonly above = new Set<object>();
  private shown = 0;

  show(value: unknown, depth: number, isSecret: boolean): unknown {
    switch (typeof value) {
      case 'string':
        return isSecret && value !== '' ? PLACEHOLDER : redactText(value);
      case 'number':
        return isSecret ? PLACEHOLDER : value;
      case 'bigint':
        return isSecret ? PLACEHOLDER : String(value);
      case 'object':
        return value === null
          ? null
          : this.within(value, depth, () => this.showParts(value, depth, isSecret));
      case 'boolean':
        return value;
      default:
        return undefined;
    }
  }

  describe(error: unknown, depth: number): object {
    if (!isError(error)) {
      return { message: typeof error === 'string' ? redactText(error) : typeof error };
    }
    const described = this.within(error, depth, () => this.showError(error, depth));
    return typeof described === 'object' ? described : { message: described };
  }

  private within<T>(value: object, depth: number, show: () => T): T | string {
    this.shown += 1;
    if (this.above.has(value)) return '[circular]';
    if (depth >= MAX_DEPTH || this.shown > MAX_SIZE) return '[more]';
    this.above.add(value);
    try {
      return show();
    } catch {
      // A foreign getter, proxy or toJSON.
      return '[unreadable]';
    } finally {
      this.above.delete(value);
    }
  }

  private showError(error: Error, depth: number): object {
    const { name, message, stack, cause } = error;
    const code = 'code' in error ? error.code : undefined;
    const errors =
      'errors' in error && Array.isArray(error.errors) ? error.errors.slice(0, MAX_WIDTH) : undefined;
    return {
      type: shownText(name),
      message: shownText(message),
      ...((typeof code === 'string' || typeof code === 'number') && { code: this.show(code, depth, false) }),
      ...(stack !== undefined && { stack: shownText(stack) }),
      ...(cause !== undefined && { cause: this.describe(cause, depth + 1) }),
      ...(errors && { errors: errors.map((one: unknown) => this.describe(one, depth + 1)) }),
    };
  }

  private showParts(value: object, depth: number, isSecret: boolean): unknown {
    if (isError(value)) return this.showError(value, depth);
    if (types.isDate(value)) return value.toJSON();
    if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return bytes(value.byteLength);
    if (Array.isArray(value)) return this.showList(value, depth, isSecret);
    if (types.isSet(value)) return this.showList([...value], depth, isSecret);
    if (value instanceof URLSearchParams) return this.show(String(value), depth, isSecret);
    if (isEntries(value)) return this.showEntries([...value], depth, isSecret);
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      return this.show(value.toJSON(), depth + 1, isSecret);
    }
    return this.showEntries(Object.entries(value), depth, isSecret);
  }

  private showList(list: readonly unknown[], depth: number, isSecret: boolean): unknown[] {
    const shown = list
      .slice(0, MAX_WIDTH)
      .map((item, at) => this.show(item, depth + 1, isSecret || isValueOfName(list, at)) ?? null);
    return list.length > MAX_WIDTH ? [...shown, `[${list.length - MAX_WIDTH} more]`] : shown;
  }

  private showEntries(
    entries: readonly (readonly [unknown, unknown])[],
    depth: number,
    isSecret: boolean,
  ): object | string {
    const size = sizeOfSerializedBuffer(entries);
    if (size !== undefined) return bytes(size);
    const shown = entries.slice(0, MAX_WIDTH).map(([key, value]): [string, unknown] => {
      const name = typeof key === 'string' || typeof key === 'number' ? String(key) : typeof key;
      // `tokens: 3` is a count.
      const isNamed = isSecretName(name) && !(typeof value === 'number' && /s$/i.test(name));
      return [redactText(name), this.show(value, depth + 1, isNamed || (isSecret && !isPublicName(name)))];
    });
    if (entries.length > MAX_WIDTH) shown.push(['…', `[${entries.length - MAX_WIDTH} more]`]);
    return Object.fromEntries(shown);
  }
}

/** Also accepts an error of another realm, such as Jest's. */
function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

/** A property that may have been replaced by a value that is not a text. */
function shownText(text: unknown): string {
  return typeof text === 'string' ? redactText(text) : typeof text;
}

/** By its tag, because undici's Headers are not the global class. */
function isEntries(value: object): value is Iterable<readonly [unknown, unknown]> {
  const tag = Object.prototype.toString.call(value);
  return Symbol.iterator in value && ['[object Map]', '[object Headers]', '[object FormData]'].includes(tag);
}

/** Alternating names and values, as in Node's `rawHeaders`, and pairs; not a list of names only. */
function isValueOfName(list: readonly unknown[], at: number): boolean {
  const [name, value] = [list[at - 1], list[at]];
  return (
    at % 2 === 1 &&
    typeof name === 'string' &&
    isSecretName(name) &&
    !(typeof value === 'string' && /^[a-z]+(?:_[a-z]+)*$/.test(value))
  );
}

/** `{type: 'Buffer', data: [1, 2]}`: a Buffer in JSON. */
function sizeOfSerializedBuffer(entries: readonly (readonly [unknown, unknown])[]): number | undefined {
  const [type, data] = entries;
  if (entries.length !== 2 || type?.[1] !== 'Buffer' || data?.[0] !== 'data') return undefined;
  return Array.isArray(data[1]) ? data[1].length : undefined;
}

function bytes(count: number): string {
  return `[${count} bytes]`;
}

/**
 * Redacts a log line, which is one JSON object and a line break, and escapes the control characters that JSON does not
 * escape; returns the same text if it has neither.
 */
export function redactLine(line: string): string {
  return escapeUnprintable(withoutSecrets(line));
}

function withoutSecrets(line: string): string {
  if (!mayContainSecret(line)) return line;
  try {
    return `${JSON.stringify(redactValue(JSON.parse(line)))}\n`;
  } catch {
    return `${redactText(line.trimEnd())}\n`;
  }
}
