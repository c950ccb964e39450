import type { FieldSet } from '../fields/field-set.js';
import type { FieldKind } from '../fields/field.js';
import {
  integerOf,
  isTree,
  isTruthy,
  listOf,
  textOf,
  treeOf,
  type Value,
  type Values,
} from '../protocol/php.js';
import { invalidArgument, type RestError } from '../protocol/rest-error.js';
import { normalizeTimestamp } from '../protocol/timestamp.js';

/** Reads one field of the thing at hand. */
export type Read = (field: string) => Value;
type Test = (read: Read) => boolean;

/**
 * A filter with what it says about `id` and `updatedTime` set apart, so that a page of 50 out of 100,000 items needs
 * no scan.
 */
export interface Filter {
  /** Exclusive bounds. */
  above: number;
  below: number;
  /** Only these ids. */
  ids?: readonly number[];
  /** Inclusive bounds of `updatedTime` in whole seconds, as the portal's database keeps it. */
  updatedFrom: number;
  updatedTo: number;
  /** What remains to be asked of each item; undefined: nothing. */
  test?: Test;
}

/** Lets everything through. */
export const everything: Readonly<Filter> = {
  above: -Infinity,
  below: Infinity,
  updatedFrom: -Infinity,
  updatedTo: Infinity,
};

const PREFIXED_FIELD = /^(>=|<=|!=%|!%=|!@|!%|!=|=%|%=|>|<|@|%|!|=)?(.+)$/s;

/**
 * The filter language of `crm.item.list` (api-reference/crm/universal/crm-item-list.md); throws RestError
 * INVALID_ARG_VALUE.
 */
export function parseFilter(filter: Value | undefined, fields: FieldSet): Filter {
  const parsed: Filter = { ...everything };
  const tests: Test[] = [];
  const tree = treeOf(filter);
  const isAnd = !isOr(tree);
  for (const [key, value] of Object.entries(tree)) {
    if (key === 'logic') continue;
    const named = prefixedFieldOf(key, fields);
    if (isAnd && (narrowById(parsed, named, value) || narrowByTime(parsed, named, value))) continue;
    tests.push(parseCondition(key, value, fields));
  }
  if (tests.length > 0) parsed.test = isAnd ? every(tests) : some(tests);
  return parsed;
}

interface PrefixedField {
  prefix: string;
  field: string;
}

function prefixedFieldOf(key: string, fields: FieldSet): PrefixedField {
  const [, prefix = '=', field = ''] = PREFIXED_FIELD.exec(key) ?? [];
  return { prefix, field: fields.named(field) };
}

/** Whether the filter's bounds let an item through. */
export function isWithin(filter: Filter, id: number, updatedAtMs: number): boolean {
  const second = Math.floor(updatedAtMs / 1000);
  return (
    id > filter.above &&
    id < filter.below &&
    second >= filter.updatedFrom &&
    second <= filter.updatedTo &&
    (filter.ids?.includes(id) ?? true)
  );
}

/** Takes a condition on `id` into the bounds; false if it is another one. */
function narrowById(parsed: Filter, { prefix, field }: PrefixedField, value: Value): boolean {
  if (field !== 'id' || !['=', '@', '>', '>=', '<', '<='].includes(prefix)) return false;
  if (prefix === '@' || prefix === '=') {
    const ids = listOf(value).map((one) => Number(wantedKey(one, 'number', 'id')));
    const before = parsed.ids && new Set(parsed.ids);
    parsed.ids = [...new Set(ids)].filter((id) => before?.has(id) ?? true);
    return true;
  }
  const id = Number(wantedKey(value, 'number', 'id'));
  if (prefix === '>') parsed.above = Math.max(parsed.above, id);
  if (prefix === '>=') parsed.above = Math.max(parsed.above, id - 1);
  if (prefix === '<') parsed.below = Math.min(parsed.below, id);
  if (prefix === '<=') parsed.below = Math.min(parsed.below, id + 1);
  return true;
}

/** The same for `updatedTime`. */
function narrowByTime(parsed: Filter, { prefix, field }: PrefixedField, value: Value): boolean {
  if (field !== 'updatedTime' || !['>', '>=', '<', '<='].includes(prefix)) return false;
  const second = Date.parse(String(wantedKey(value, 'datetime', field))) / 1000;
  if (prefix === '>') parsed.updatedFrom = Math.max(parsed.updatedFrom, second + 1);
  if (prefix === '>=') parsed.updatedFrom = Math.max(parsed.updatedFrom, second);
  if (prefix === '<') parsed.updatedTo = Math.min(parsed.updatedTo, second - 1);
  if (prefix === '<=') parsed.updatedTo = Math.min(parsed.updatedTo, second);
  return true;
}

function parseCondition(key: string, value: Value, fields: FieldSet): Test {
  if (integerOf(key) !== undefined && (isTree(value) || Array.isArray(value)))
    return parseGroup(value, fields);
  const { prefix, field } = prefixedFieldOf(key, fields);
  const kind = fields.kindOf(field);
  if (!kind) throw invalidArgument(`Invalid filter: field '${field}' is not allowed in filter`);
  const holds = operators[prefix]?.(value, kind, field);
  return (read) => holds?.(read(field)) ?? false;
}

function parseGroup(value: Value, fields: FieldSet): Test {
  const tree = treeOf(value);
  const tests = Object.entries(tree)
    .filter(([key]) => key !== 'logic')
    .map(([key, child]) => parseCondition(key, child, fields));
  return isOr(tree) ? some(tests) : every(tests);
}

function isOr(tree: Values): boolean {
  return isTruthy(tree['logic']) && textOf(tree['logic'])?.toUpperCase() === 'OR';
}

function every(tests: readonly Test[]): Test {
  return (read) => tests.every((test) => test(read));
}

function some(tests: readonly Test[]): Test {
  return (read) => tests.some((test) => test(read));
}

/** Whether a value of the field at hand meets a condition. */
export type Holds = (actual: Value) => boolean;

/** What a prefix of the filter language asks; throws RestError INVALID_ARG_VALUE for what cannot be asked. */
type Operator = (wanted: Value, kind: FieldKind, field: string) => Holds;

const isEqual: Operator = (wanted, kind, field) => {
  if (wanted === null || wanted === '') return (actual) => actual === null || actual === '';
  const key = wantedKey(wanted, kind, field);
  return (actual) => {
    if (actual === null) return false;
    if (Array.isArray(actual)) return actual.some((one) => textOf(one) === textOf(wanted));
    return actualKey(actual, kind) === key;
  };
};

const isIn: Operator = (wanted, kind, field) => {
  const conditions = listOf(wanted).map((one) => isEqual(one, kind, field));
  return (actual) => conditions.some((holds) => holds(actual));
};

const equals: Operator = (wanted, kind, field) =>
  Array.isArray(wanted) || isTree(wanted) ? isIn(wanted, kind, field) : isEqual(wanted, kind, field);

const contains: Operator = (wanted, kind) => {
  const part = foldedText(wanted, kind);
  return (actual) => listOf(actual).some((one) => foldedText(one, kind).includes(part));
};

const isLike: Operator = (wanted, kind) => {
  const pattern = likePattern(textOf(wanted) ?? '');
  return (actual) => listOf(actual).some((one) => pattern.test(foldedText(one, kind)));
};

const order =
  (accept: (difference: number) => boolean): Operator =>
  (wanted, kind, field) => {
    const right = wantedKey(wanted, kind, field);
    return (actual) => {
      if (actual === null) return false;
      const left = actualKey(actual, kind);
      return accept(left < right ? -1 : Number(left > right));
    };
  };

const not =
  (condition: Operator): Operator =>
  (wanted, kind, field) => {
    const holds = condition(wanted, kind, field);
    return (actual) => !holds(actual);
  };

/** By the prefix of a filter's key (api-reference/crm/universal/crm-item-list.md). */
const operators: Readonly<Record<string, Operator>> = {
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
function wantedKey(value: Value, kind: FieldKind, field: string): number | string {
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
