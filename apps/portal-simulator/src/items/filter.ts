import type { FieldSet } from '../fields/field-set.js';
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
import { invalidArgument } from '../protocol/rest-error.js';
import { conditions, wantedKey } from './comparison.js';

/** Reads one field of the thing at hand. */
export type Read = (field: string) => Value;
export type Test = (read: Read) => boolean;

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
    const condition = conditionOf(key, fields);
    if (isAnd && (narrowById(parsed, condition, value) || narrowByTime(parsed, condition, value))) continue;
    tests.push(parseCondition(key, value, fields));
  }
  if (tests.length > 0) parsed.test = isAnd ? every(tests) : some(tests);
  return parsed;
}

interface Condition {
  prefix: string;
  field: string;
}

function conditionOf(key: string, fields: FieldSet): Condition {
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
function narrowById(parsed: Filter, { prefix, field }: Condition, value: Value): boolean {
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
function narrowByTime(parsed: Filter, { prefix, field }: Condition, value: Value): boolean {
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
  const { prefix, field } = conditionOf(key, fields);
  const kind = fields.kindOf(field);
  if (!kind) throw invalidArgument(`Invalid filter: field '${field}' is not allowed in filter`);
  const holds = conditions[prefix]?.(value, kind, field);
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
