import type { FieldSet } from '../fields/field-set.js';
import { textOf, type Value, type Values } from '../protocol/php.js';
import { formatTimestamp } from '../protocol/timestamp.js';
import { comparableKey, isWithin, type FieldReader, type Filter } from './filter.js';
import { ItemsByTime, SortedIds } from './item-indexes.js';
import type { Item, ItemRules, Order, ValueGenerator } from './item.js';

export interface Query {
  filter: Filter;
  orders: readonly Order[];
  offset: number;
  limit: number;
  /** False to stop at the last item of the page, as `start=-1` does (settings/performance/huge-data.md). */
  count: boolean;
  /** Whether the caller may not see an item. */
  isHidden?: ((id: number) => boolean) | undefined;
}

export interface Page {
  items: Item[];
  /** Undefined without `count`. */
  total?: number;
}

/** Who makes a change, and when. */
interface ChangeContext {
  userId: number;
  nowMs: number;
}

/** A copy of all items at one point in time. */
export interface ItemsBackup {
  lastId: number;
  items: readonly Readonly<Item>[];
}

const NO_FIELDS: Readonly<Values> = {};

/** The items of one CRM object type at one portal. */
export class ItemStore {
  private readonly items = new Map<number, Item>();
  private readonly ids = new SortedIds();
  private readonly byTime = new ItemsByTime(this.items);
  private newestId = 0;

  constructor(
    readonly entityTypeId: number,
    readonly fields: FieldSet,
    private readonly rules: ItemRules,
  ) {}

  /** The stages of the default pipeline, in their order. */
  get stages(): readonly string[] {
    return this.rules.stages();
  }

  get size(): number {
    return this.ids.size;
  }

  /** The highest id given so far, also to an item that is deleted since. */
  get lastId(): number {
    return this.newestId;
  }

  /** The next item gets a higher id than this one. */
  skipIds(upTo: number): void {
    this.newestId = Math.max(this.newestId, upTo);
  }

  get(id: number): Item | undefined {
    return this.items.get(id);
  }

  /** The item at this index in ascending order of ids, from 0. */
  atIndex(index: number): Item | undefined {
    return this.items.get(this.ids.at(index) ?? 0);
  }

  /** `id` is one that no item has, by default the next one. `raw` stores the values without checking or converting them. @throws RestError */
  add(
    fields: Values,
    { userId, nowMs, id = this.newestId + 1 }: ChangeContext & { id?: number },
    raw = false,
  ): Item {
    const written = raw ? { ...fields } : this.writable(fields, (field) => this.fields.defaultOf(field));
    return this.insert({
      id,
      createdAtMs: nowMs,
      createdBy: userId,
      updatedAtMs: nowMs,
      updatedBy: userId,
      movedAtMs: nowMs,
      movedBy: userId,
      generator: undefined,
      fields: written,
    });
  }

  /** Adds an item whose values are computed on read. */
  addGenerated(generator: ValueGenerator, createdAtMs: number, updatedAtMs: number, userId: number): Item {
    return this.insert({
      id: this.newestId + 1,
      createdAtMs,
      createdBy: userId,
      updatedAtMs,
      updatedBy: userId,
      movedAtMs: updatedAtMs,
      movedBy: userId,
      generator,
      fields: NO_FIELDS,
    });
  }

  /** @throws RestError */
  update(item: Item, fields: Values, { userId, nowMs }: ChangeContext, raw = false): void {
    const written = raw ? { ...fields } : this.writable(fields, (field) => this.valueOf(item, field));
    const stage = this.valueOf(item, 'stageId');
    item.fields = { ...item.fields, ...written };
    if (this.valueOf(item, 'stageId') !== stage) {
      if (this.fields.has('previousStageId')) item.fields = { ...item.fields, previousStageId: stage };
      item.movedAtMs = nowMs;
      item.movedBy = userId;
    }
    item.updatedAtMs = nowMs;
    item.updatedBy = userId;
    this.byTime.invalidate();
  }

  delete(id: number): boolean {
    if (!this.items.delete(id)) return false;
    this.ids.delete(id);
    this.byTime.invalidate();
    return true;
  }

  /** Removes the values of a deleted field from all items. */
  removeField(field: string): void {
    for (const item of this.items.values()) {
      if (!Object.hasOwn(item.fields, field)) continue;
      const { [field]: _, ...others } = item.fields;
      item.fields = others;
    }
  }

  backup(): ItemsBackup {
    return { lastId: this.newestId, items: [...this.items.values()].map((item) => ({ ...item })) };
  }

  /** Restores timestamps, too; ids that were given since will be given again. */
  restore({ lastId, items }: ItemsBackup): void {
    this.newestId = lastId;
    this.items.clear();
    for (const item of items) this.items.set(item.id, { ...item });
    this.ids.restore(this.items.keys());
    this.byTime.invalidate();
  }

  page(query: Query): Page {
    const { filter, orders, offset, limit, count, isHidden } = query;
    const [first] = orders;
    const isById = first === undefined || first.field === 'id';
    const isUnfiltered = !filter.test && !isHidden && !filter.ids && filter.updatedFrom === -Infinity;
    if (isById && isUnfiltered && count && filter.updatedTo === Infinity) return this.pageByIndex(query);
    const matching: Item[] = [];
    for (const item of this.candidates(query)) {
      if (!isWithin(filter, item.id, item.updatedAtMs) || isHidden?.(item.id) === true) continue;
      if (filter.test?.((field) => this.valueOf(item, field)) === false) continue;
      matching.push(item);
      if (!count && matching.length === offset + limit && (isById || isByTime(orders))) break;
    }
    const sorted = isById || isByTime(orders) ? matching : this.sorted(matching, orders);
    return { items: sorted.slice(offset, offset + limit), ...(count && { total: matching.length }) };
  }

  valueOf(item: Item, field: string): Value {
    switch (field) {
      case 'id':
        return item.id;
      case 'entityTypeId':
        return this.entityTypeId;
      case 'createdTime':
        return formatTimestamp(item.createdAtMs);
      case 'createdBy':
        return item.createdBy;
      case 'updatedTime':
      case 'lastActivityTime':
        return formatTimestamp(item.updatedAtMs);
      case 'updatedBy':
      case 'lastActivityBy':
        return item.updatedBy;
      case 'movedTime':
        return formatTimestamp(item.movedAtMs);
      case 'movedBy':
        return item.movedBy;
      default:
        return item.fields[field] ?? this.computed(item, field) ?? this.defaultOf(item, field);
    }
  }

  private insert(item: Item): Item {
    this.newestId = Math.max(this.newestId, item.id);
    this.items.set(item.id, item);
    this.ids.add(item.id);
    this.byTime.invalidate();
    return item;
  }

  private computed(item: Item, field: string): Value | undefined {
    const { computed } = this.rules;
    if (!computed || !Object.hasOwn(computed, field)) return undefined;
    return computed[field]?.((other) => this.valueOf(item, other));
  }

  private defaultOf(item: Item, field: string): Value {
    if (Object.hasOwn(item.fields, field)) return null;
    const generated = item.generator?.valueOf(item.id, field);
    if (generated !== undefined) return generated;
    const { defaults } = this.rules;
    if (field === 'title' && 'title' in defaults) return `${textOf(defaults['title']) ?? ''} #${item.id}`;
    return defaults[field] ?? this.fields.defaultOf(field);
  }

  /** Items that may match, already sorted where an index gives the order. */
  private *candidates({ filter, orders }: Query): Generator<Item> {
    const [first] = orders;
    if (isByTime(orders)) {
      yield* this.byTime.between(filter.updatedFrom, filter.updatedTo, first?.descending === true);
      return;
    }
    const descending = first?.field === 'id' && first.descending;
    const ids = filter.ids?.toSorted((left, right) => (descending ? right - left : left - right));
    for (const id of ids ?? this.ids.between(filter.above, filter.below, descending)) {
      const item = this.items.get(id);
      if (item) yield item;
    }
  }

  /** A page in the order of ids, counted without a scan. */
  private pageByIndex({ filter: { above, below }, orders, offset, limit }: Query): Page {
    const first = this.ids.indexFrom(above + 1);
    const end = Math.max(first, this.ids.indexFrom(below));
    const indexes = Array.from({ length: Math.min(limit, end - first - offset) }, (_, index) =>
      orders[0]?.descending === true ? end - 1 - offset - index : first + offset + index,
    );
    return { items: indexes.flatMap((index) => this.atIndex(index) ?? []), total: end - first };
  }

  private sorted(items: readonly Item[], orders: readonly Order[]): Item[] {
    const keyed = items.map((item) => ({
      item,
      keys: orders.map(({ field }) => {
        const value = this.valueOf(item, field);
        return value === null ? '' : comparableKey(value, this.fields.kindOf(field) ?? 'string');
      }),
    }));
    keyed.sort((left, right) => {
      for (const [index, { descending }] of orders.entries()) {
        const [a = '', b = ''] = [left.keys[index], right.keys[index]];
        if (a !== b) return a < b === descending ? 1 : -1;
      }
      return left.item.id - right.item.id;
    });
    return keyed.map(({ item }) => item);
  }

  private writable(fields: Values, read: FieldReader): Values {
    const written: Values = {};
    for (const [name, value] of Object.entries(fields)) {
      if (this.fields.isWritable(name)) written[name] = this.fields.toStored(name, value, read);
    }
    return { ...written, ...this.rules.complete?.(written, read) };
  }
}

/** Sorted by `updatedTime` alone, or by it and then by id in the same direction. */
function isByTime(orders: readonly Order[]): boolean {
  const [first, second] = orders;
  if (first?.field !== 'updatedTime' || orders.length > 2) return false;
  return second === undefined || (second.field === 'id' && second.descending === first.descending);
}
