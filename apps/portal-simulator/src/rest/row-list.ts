import type { FieldSet } from '../fields/field-set.js';
import { comparableKey, parseFilter } from '../items/filter.js';
import type { Order } from '../items/item.js';
import { integerOf, type Value, type Values } from '../protocol/php.js';
import { nextStart, PAGE_SIZE, parseOrder, parseStart } from './method.js';

interface ListRequest {
  filter: Value | undefined;
  order: Value | undefined;
  start: Value | undefined;
}

/** A page of rows that are no items of the CRM: few of them, so each call reads all. @throws RestError INVALID_ARG_VALUE */
export function listRows(
  all: readonly Values[],
  fields: FieldSet,
  { filter, order, start }: ListRequest,
): { rows: Values[]; next: number | undefined; total: number | undefined } {
  const parsed = parseFilter(filter, fields);
  const orders = parseOrder(order, fields);
  const { offset, count } = parseStart(start);
  const matching = all
    .filter((row) => isWithin(parsed, row))
    .filter((row) => parsed.test?.((field) => row[field] ?? null) ?? true)
    .toSorted((left, right) => compare(left, right, orders, fields));
  const total = count ? matching.length : undefined;
  return { rows: matching.slice(offset, offset + PAGE_SIZE), next: nextStart(offset, total), total };
}

/** Conditions on `id`, which `parseFilter` keeps apart. */
function isWithin({ above, below, ids }: ReturnType<typeof parseFilter>, row: Values): boolean {
  const id = integerOf(row['id']);
  return id === undefined || (id > above && id < below && (ids?.includes(id) ?? true));
}

function compare(left: Values, right: Values, orders: readonly Order[], fields: FieldSet): number {
  for (const { field, descending } of orders) {
    const kind = fields.kindOf(field) ?? 'string';
    const [a, b] = [comparableKey(left[field] ?? null, kind), comparableKey(right[field] ?? null, kind)];
    if (a !== b) return a < b === descending ? 1 : -1;
  }
  return 0;
}
