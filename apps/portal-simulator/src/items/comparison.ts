import type { FieldKind } from '../fields/field-kind.js';
import { isTree, listOf, textOf, type Value } from '../protocol/php.js';
import { invalidArgument, type RestError } from '../protocol/rest-error.js';
import { normalizeTimestamp } from '../protocol/timestamp.js';

/** Whether a value of the field at hand meets a condition. */
export type Holds = (actual: Value) => boolean;

/** What a prefix of the filter language asks; throws RestError INVALID_ARG_VALUE for what cannot be asked. */
type Condition = (wanted: Value, kind: FieldKind, field: string) => Holds;

const isEqual: Condition = (wanted, kind, field) => {
  if (wanted === null || wanted === '') return (actual) => actual === null || actual === '';
  const key = wantedKey(wanted, kind, field);
  return (actual) => {
    if (actual === null) return false;
    if (Array.isArray(actual)) return actual.some((one) => textOf(one) === textOf(wanted));
    return actualKey(actual, kind) === key;
  };
};

const isIn: Condition = (wanted, kind, field) => {
  const conditions = listOf(wanted).map((one) => isEqual(one, kind, field));
  return (actual) => conditions.some((holds) => holds(actual));
};

const equals: Condition = (wanted, kind, field) =>
  Array.isArray(wanted) || isTree(wanted) ? isIn(wanted, kind, field) : isEqual(wanted, kind, field);

const contains: Condition = (wanted, kind) => {
  const part = foldedText(wanted, kind);
  return (actual) => listOf(actual).some((one) => foldedText(one, kind).includes(part));
};

const isLike: Condition = (wanted, kind) => {
  const pattern = likePattern(textOf(wanted) ?? '');
  return (actual) => listOf(actual).some((one) => pattern.test(foldedText(one, kind)));
};

const order =
  (accept: (difference: number) => boolean): Condition =>
  (wanted, kind, field) => {
    const right = wantedKey(wanted, kind, field);
    return (actual) => {
      if (actual === null) return false;
      const left = actualKey(actual, kind);
      return accept(left < right ? -1 : Number(left > right));
    };
  };

const not =
  (condition: Condition): Condition =>
  (wanted, kind, field) => {
    const holds = condition(wanted, kind, field);
    return (actual) => !holds(actual);
  };

/** By the prefix of a filter's key (api-reference/crm/universal/crm-item-list.md). */
export const conditions: Readonly<Record<string, Condition>> = {
  '=': equals,
  '!': not(equals),
  '!=': not(equals),
  '@': isIn,
  '!@': not(isIn),
  '%': contains,
  '!%': not(contains),
  '=%': isLike,
  '%=': isLike,
  '!=%': not(isLike),
  '!%=': not(isLike),
  '>': order((difference) => difference > 0),
  '>=': order((difference) => difference >= 0),
  '<': order((difference) => difference < 0),
  '<=': order((difference) => difference <= 0),
};

/** Numbers compare as numbers, moments by their one spelling, strings as a portal's database does: without case. */
export function actualKey(value: Value, kind: FieldKind): number | string {
  const text = textOf(value) ?? '';
  if (kind === 'number') return Number(text);
  if (kind === 'userFlag') return text === 'Y' ? 1 : 0;
  return kind === 'string' ? text.toLowerCase() : text;
}

/** As `actualKey`, of what a filter asks for. @throws RestError INVALID_ARG_VALUE */
export function wantedKey(value: Value, kind: FieldKind, field: string): number | string {
  const text = textOf(value);
  if (text === undefined) throw invalidValue(field);
  switch (kind) {
    case 'number':
      return numberIn(text, field);
    case 'date':
    case 'datetime':
      return normalizeTimestamp(text) ?? fail(field);
    case 'flag':
      return text === 'Y' || text === '1' ? 'Y' : 'N';
    case 'userFlag':
      return text === '1' ? 1 : 0;
    default:
      return text.toLowerCase();
  }
}

/** An empty text counts as 0, as it does for the database of a portal. */
function numberIn(text: string, field: string): number {
  const number = Number(text);
  return Number.isNaN(number) ? fail(field) : number;
}

function fail(field: string): never {
  throw invalidValue(field);
}

function invalidValue(field: string): RestError {
  return invalidArgument(`Invalid filter: field '${field}' has invalid value`);
}

function foldedText(value: Value, kind: FieldKind): string {
  const text = textOf(value) ?? '';
  return kind === 'number' ? text : text.toLowerCase();
}

function likePattern(pattern: string): RegExp {
  const parts = pattern.split('%').map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`, 'isu');
}
