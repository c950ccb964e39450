import { integerOf, isTree, isTruthy, listOf, textOf, treeOf, type Value, type Values } from './php.js';
import type { FieldKind, FieldSet } from './field-set.js';
import { invalidArgument, type RestError } from './rest/rest-error.js';

/** Reads one field of the thing at hand. */
export type Read = (field: string) => Value;
export type Test = (read: Read) => boolean;

/**
 * A filter with what it says about `id` set apart, so that a page of 50 out of 100,000 items needs no scan.
 */
export interface Filter {
  /** Exclusive bounds. */
  above: number;
  below: number;
  /** Only these ids. */
  ids?: readonly number[];
  /** What remains to be asked of each item; undefined: nothing. */
  test?: Test;
}

const prefixed = /^(>=|<=|!=%|!%=|!@|!%|!=|=%|%=|>|<|@|%|!|=)?(.+)$/s;

/**
 * The filter language of `crm.item.list` (api-reference/crm/universal/crm-item-list.md); throws RestError
 * INVALID_ARG_VALUE.
 */
export function parseFilter(filter: Value | undefined, fields: FieldSet): Filter {
  const parsed: Filter = { above: -Infinity, below: Infinity };
  const tests: Test[] = [];
  const tree = treeOf(filter);
  const isAnd = !isOr(tree);
  for (const [key, value] of Object.entries(tree)) {
    if (key === 'logic' || (isAnd && narrowById(parsed, key, value, fields))) continue;
    tests.push(parseCondition(key, value, fields));
  }
  if (tests.length > 0) parsed.test = isAnd ? every(tests) : some(tests);
  return parsed;
}

/** Takes a condition on `id` into the bounds; false if it is another one. */
function narrowById(parsed: Filter, key: string, value: Value, fields: FieldSet): boolean {
  const [, prefix = '=', field] = prefixed.exec(key) ?? [];
  if (field !== 'id' || !['=', '@', '>', '>=', '<', '<='].includes(prefix)) return false;
  if (prefix === '@' || prefix === '=') {
    const ids = listOf(value).map((one) => idOf(one, fields));
    parsed.ids = parsed.ids ? parsed.ids.filter((id) => ids.includes(id)) : [...new Set(ids)];
    return true;
  }
  const id = idOf(value, fields);
  if (prefix === '>') parsed.above = Math.max(parsed.above, id);
  if (prefix === '>=') parsed.above = Math.max(parsed.above, id - 1);
  if (prefix === '<') parsed.below = Math.min(parsed.below, id);
  if (prefix === '<=') parsed.below = Math.min(parsed.below, id + 1);
  return true;
}

function idOf(value: Value, fields: FieldSet): number {
  return Number(comparable(value, fields.kindOf('id') ?? 'number', 'id'));
}

function parseCondition(key: string, value: Value, fields: FieldSet): Test {
  if (integerOf(key) !== undefined && (isTree(value) || Array.isArray(value)))
    return parseGroup(value, fields);
  const [, prefix = '=', field = ''] = prefixed.exec(key) ?? [];
  const kind = fields.kindOf(field);
  if (!kind) throw invalidArgument(`Invalid filter: field '${field}' is not allowed in filter`);
  return (read) => compare[prefix]?.(read(field), value, kind, field) ?? false;
}

function parseGroup(value: Value, fields: FieldSet): Test {
  const tree = treeOf(value);
  const tests = Object.entries(tree)
    .filter(([key]) => key !== 'logic')
    .map(([key, child]) => parseCondition(key, child, fields));
  return isOr(tree) ? some(tests) : every(tests);
}

type Compare = (actual: Value, wanted: Value, kind: FieldKind, field: string) => boolean;

const isIn: Compare = (actual, wanted, kind, field) =>
  listOf(wanted).some((one) => isEqual(actual, one, kind, field));
const isLike: Compare = (actual, wanted, kind) =>
  listOf(actual).some((one) => likePattern(textOf(wanted) ?? '').test(foldedText(one, kind)));
const holds: Compare = (actual, wanted, kind) =>
  listOf(actual).some((one) => foldedText(one, kind).includes(foldedText(wanted, kind)));
const order =
  (accept: (difference: number) => boolean): Compare =>
  (actual, wanted, kind, field) => {
    if (actual === null) return false;
    const [left, right] = [comparable(actual, kind, field), comparable(wanted, kind, field)];
    return accept(left < right ? -1 : Number(left > right));
  };
const not =
  (test: Compare): Compare =>
  (...given) =>
    !test(...given);

const equals: Compare = (actual, wanted, kind, field) =>
  Array.isArray(wanted) || isTree(wanted)
    ? isIn(actual, wanted, kind, field)
    : isEqual(actual, wanted, kind, field);

const compare: Readonly<Record<string, Compare>> = {
  '=': equals,
  '!': not(equals),
  '!=': not(equals),
  '@': isIn,
  '!@': not(isIn),
  '%': holds,
  '!%': not(holds),
  '=%': isLike,
  '%=': isLike,
  '!=%': not(isLike),
  '!%=': not(isLike),
  '>': order((difference) => difference > 0),
  '>=': order((difference) => difference >= 0),
  '<': order((difference) => difference < 0),
  '<=': order((difference) => difference <= 0),
};

function isEqual(actual: Value, wanted: Value, kind: FieldKind, field: string): boolean {
  if (wanted === null || wanted === '') return actual === null || actual === '';
  if (actual === null) return false;
  if (Array.isArray(actual)) return actual.some((one) => textOf(one) === textOf(wanted));
  return comparable(actual, kind, field) === comparable(wanted, kind, field);
}

/** Numbers and moments compare as numbers, strings as the portal's database compares them: without case. */
export function comparable(value: Value, kind: FieldKind, field: string): number | string {
  const text = textOf(value);
  if (text === undefined) throw invalidValue(field);
  if (kind === 'flag') return text === 'Y' || text === '1' ? 'Y' : 'N';
  if (kind !== 'number' && kind !== 'datetime') return text.toLowerCase();
  const number = kind === 'number' ? Number(text) : Date.parse(text);
  if (text.trim() === '' || Number.isNaN(number)) throw invalidValue(field);
  return number;
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

function isOr(tree: Values): boolean {
  return isTruthy(tree['logic']) && textOf(tree['logic'])?.toUpperCase() === 'OR';
}

function every(tests: readonly Test[]): Test {
  return (read) => tests.every((test) => test(read));
}

function some(tests: readonly Test[]): Test {
  return (read) => tests.some((test) => test(read));
}
