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

/** Reads one field of the item. */
export type FieldReader = (field: string) => Value;
type ItemTest = (read: FieldReader) => boolean;

/**
 * A parsed filter. Its bounds of `id` and `updatedTime` are separate, so that a page of 50 out of 100,000 items needs
 * no scan.
 */
export interface Filter {
  /** Exclusive bounds. */
  above: number;
  below: number;
  /** If present, only these ids match. */
  ids?: readonly number[];
  /** Inclusive bounds of `updatedTime` in whole seconds, the precision of a portal's database. */
  updatedFrom: number;
  updatedTo: number;
  /** The remaining conditions; undefined if there are none. */
  test?: ItemTest;
}

/** Matches every item. */
export const MATCH_ALL: Readonly<Filter> = {
  above: -Infinity,
  below: Infinity,
  updatedFrom: -Infinity,
  updatedTo: Infinity,
};

const PREFIXED_FIELD = /^(>=|<=|!=%|!%=|!@|!%|!=|=%|%=|>|<|@|%|!|=)?(.+)$/s;

/**
 * Parses the filter language of `crm.item.list` (api-reference/crm/universal/crm-item-list.md). @throws RestError
 * INVALID_ARG_VALUE
 */
export function parseFilter(filter: Value | undefined, fields: FieldSet): Filter {
  const parsed: Filter = { ...MATCH_ALL };
  const tests: ItemTest[] = [];
  const tree = treeOf(filter);
  const isAnd = !isOr(tree);
  for (const [key, value] of Object.entries(tree)) {
    if (key === 'logic') continue;
    const condition = prefixedFieldOf(key, fields);
    if (isAnd && (narrowById(parsed, condition, value) || narrowByTime(parsed, condition, value))) continue;
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
  return { prefix, field: fields.canonicalName(field) };
}

/** Whether an item is within the bounds of the filter. */
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

/** Narrows the bounds by a condition on `id`; false if the condition is another one. */
function narrowById(parsed: Filter, { prefix, field }: PrefixedField, value: Value): boolean {
  if (field !== 'id' || !['=', '@', '>', '>=', '<', '<='].includes(prefix)) return false;
  if (prefix === '@' || prefix === '=') {
    const ids = listOf(value).map((one) => Number(operandKey(one, 'number', 'id')));
    const before = parsed.ids && new Set(parsed.ids);
    parsed.ids = [...new Set(ids)].filter((id) => before?.has(id) ?? true);
    return true;
  }
  const id = Number(operandKey(value, 'number', 'id'));
  if (prefix === '>') parsed.above = Math.max(parsed.above, id);
  if (prefix === '>=') parsed.above = Math.max(parsed.above, id - 1);
  if (prefix === '<') parsed.below = Math.min(parsed.below, id);
  if (prefix === '<=') parsed.below = Math.min(parsed.below, id + 1);
  return true;
}

/** Narrows the bounds by a condition on `updatedTime`; false if the condition is another one. */
function narrowByTime(parsed: Filter, { prefix, field }: PrefixedField, value: Value): boolean {
  if (field !== 'updatedTime' || !['>', '>=', '<', '<='].includes(prefix)) return false;
  const second = Date.parse(String(operandKey(value, 'datetime', field))) / 1000;
  if (prefix === '>') parsed.updatedFrom = Math.max(parsed.updatedFrom, second + 1);
  if (prefix === '>=') parsed.updatedFrom = Math.max(parsed.updatedFrom, second);
  if (prefix === '<') parsed.updatedTo = Math.min(parsed.updatedTo, second - 1);
  if (prefix === '<=') parsed.updatedTo = Math.min(parsed.updatedTo, second);
  return true;
}

function parseCondition(key: string, value: Value, fields: FieldSet): ItemTest {
  if (integerOf(key) !== undefined && (isTree(value) || Array.isArray(value)))
    return parseGroup(value, fields);
  const { prefix, field } = prefixedFieldOf(key, fields);
  const kind = fields.kindOf(field);
  if (!kind) throw invalidArgument(`Invalid filter: field '${field}' is not allowed in filter`);
  const test = OPERATORS[prefix]?.(value, kind, field);
  return (read) => test?.(read(field)) ?? false;
}

function parseGroup(value: Value, fields: FieldSet): ItemTest {
  const tree = treeOf(value);
  const tests = Object.entries(tree)
    .filter(([key]) => key !== 'logic')
    .map(([key, child]) => parseCondition(key, child, fields));
  return isOr(tree) ? some(tests) : every(tests);
}

function isOr(tree: Values): boolean {
  return isTruthy(tree['logic']) && textOf(tree['logic'])?.toUpperCase() === 'OR';
}

function every(tests: readonly ItemTest[]): ItemTest {
  return (read) => tests.every((test) => test(read));
}

function some(tests: readonly ItemTest[]): ItemTest {
  return (read) => tests.some((test) => test(read));
}

/** Whether the value of a field meets a condition. */
type ValueTest = (actual: Value) => boolean;

/** Makes a condition of an operator and its operand. @throws RestError INVALID_ARG_VALUE for an invalid operand */
type Operator = (operand: Value, kind: FieldKind, field: string) => ValueTest;

const isEqual: Operator = (operand, kind, field) => {
  if (operand === null || operand === '') return (actual) => actual === null || actual === '';
  const key = operandKey(operand, kind, field);
  return (actual) => {
    if (actual === null) return false;
    if (Array.isArray(actual)) return actual.some((one) => textOf(one) === textOf(operand));
    return comparableKey(actual, kind) === key;
  };
};

const isIn: Operator = (operand, kind, field) => {
  const conditions = listOf(operand).map((one) => isEqual(one, kind, field));
  return (actual) => conditions.some((test) => test(actual));
};

const equals: Operator = (operand, kind, field) =>
  Array.isArray(operand) || isTree(operand) ? isIn(operand, kind, field) : isEqual(operand, kind, field);

const contains: Operator = (operand, kind) => {
  const part = searchableText(operand, kind);
  return (actual) => listOf(actual).some((one) => searchableText(one, kind).includes(part));
};

const isLike: Operator = (operand, kind) => {
  const pattern = likePattern(textOf(operand) ?? '');
  return (actual) => listOf(actual).some((one) => pattern.test(searchableText(one, kind)));
};

const compare =
  (accept: (difference: number) => boolean): Operator =>
  (operand, kind, field) => {
    const right = operandKey(operand, kind, field);
    return (actual) => {
      if (actual === null) return false;
      const left = comparableKey(actual, kind);
      return accept(left < right ? -1 : Number(left > right));
    };
  };

const not =
  (condition: Operator): Operator =>
  (operand, kind, field) => {
    const test = condition(operand, kind, field);
    return (actual) => !test(actual);
  };

/** By the prefix of a key in a filter (api-reference/crm/universal/crm-item-list.md). */
const OPERATORS: Readonly<Record<string, Operator>> = {
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
  '>': compare((difference) => difference > 0),
  '>=': compare((difference) => difference >= 0),
  '<': compare((difference) => difference < 0),
  '<=': compare((difference) => difference <= 0),
};

/**
 * A comparable key: numbers as numbers, timestamps in their normal form, texts without case, as a portal's database
 * compares them.
 */
export function comparableKey(value: Value, kind: FieldKind): number | string {
  const text = textOf(value) ?? '';
  if (kind === 'number') return Number(text);
  if (kind === 'userFlag') return text === 'Y' ? 1 : 0;
  return kind === 'string' ? text.toLowerCase() : text;
}

/** The key of an operand in a filter. @throws RestError INVALID_ARG_VALUE */
function operandKey(value: Value, kind: FieldKind, field: string): number | string {
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

/** An empty text is 0, as in a portal's database. */
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

function searchableText(value: Value, kind: FieldKind): string {
  const text = textOf(value) ?? '';
  return kind === 'number' ? text : text.toLowerCase();
}

function likePattern(pattern: string): RegExp {
  const parts = pattern.split('%').map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`, 'isu');
}
