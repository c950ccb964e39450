import type { FieldSet } from '../fields/field-set.js';
import { textOf, type Value, type Values } from '../protocol/php.js';
import { formatTimestamp } from '../protocol/timestamp.js';
import { actualKey, isWithin, type Filter } from './filter.js';
import { ItemsByTime, SortedIds } from './item-indexes.js';
import type { Item, Order, ValueGenerator } from './item.js';

export interface Query {
  filter: Filter;
  orders: readonly Order[];
  offset: number;
  limit: number;
  /** false: stop at the page's last item, as `start=-1` does (settings/performance/huge-data.md). */
  count: boolean;
  /** Items that whoever asks may not see. */
  isHidden?: ((id: number) => boolean) | undefined;
}

export interface Page {
  items: Item[];
  /** Undefined when nobody counted. */
  total?: number;
}

/** When something is done, and by whom. */
export interface ChangeContext {
  userId: number;
  nowMs: number;
}

/** All items as they were at some time. */
export interface ItemsBackup {
  lastId: number;
  items: readonly Readonly<Item>[];
}

const nothing: Readonly<Values> = {};

/** The items of one CRM object type at one portal. */
export class ItemStore {
  private readonly items = new Map<number, Item>();
  private readonly ids = new SortedIds();
  private readonly byTime = new ItemsByTime(this.items);
  private newestId = 0;

  constructor(
    readonly entityTypeId: number,
    readonly fields: FieldSet,
    /** What an item has by default, beside what its fields have. */
    readonly defaults: Readonly<Values> = {},
  ) {}

  get size(): number {
    return this.ids.size;
  }

  /** The highest id given so far, to a deleted item or not. */
  get lastId(): number {
    return this.newestId;
  }

  get(id: number): Item | undefined {
    return this.items.get(id);
  }

  /** The item at this place in the order of ids, from 0. */
  at(index: number): Item | undefined {
    return this.items.get(this.ids.at(index) ?? 0);
  }

  /** `raw`: values as they are, known or not, fitting or not. @throws RestError */
  add(fields: Values, { userId, nowMs }: ChangeContext, raw = false): Item {
    const written = raw ? { ...fields } : this.writable(fields);
    return this.insert({
      id: this.newestId + 1,
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

  /** An item whose values are worked out when they are read. */
  addGenerated(making: ValueGenerator, createdAtMs: number, updatedAtMs: number, userId: number): Item {
    return this.insert({
      id: this.newestId + 1,
      createdAtMs,
      createdBy: userId,
      updatedAtMs,
      updatedBy: userId,
      movedAtMs: updatedAtMs,
      movedBy: userId,
      generator: making,
      fields: nothing,
    });
  }

  /** @throws RestError */
  update(item: Item, fields: Values, { userId, nowMs }: ChangeContext, raw = false): void {
    const written = raw ? { ...fields } : this.writable(fields);
    const stage = this.valueOf(item, 'stageId');
    item.fields = { ...item.fields, ...written };
    if (this.valueOf(item, 'stageId') !== stage) {
      item.fields = { ...item.fields, previousStageId: stage };
      item.movedAtMs = nowMs;
      item.movedBy = userId;
    }
    item.updatedAtMs = nowMs;
    item.updatedBy = userId;
    this.byTime.changed();
  }

  delete(id: number): boolean {
    if (!this.items.delete(id)) return false;
    this.ids.delete(id);
    this.byTime.changed();
    return true;
  }

  /** As a field's values go when the field is deleted. */
  forget(field: string): void {
    for (const item of this.items.values()) {
      if (!Object.hasOwn(item.fields, field)) continue;
      const { [field]: _, ...others } = item.fields;
      item.fields = others;
    }
  }

  backup(): ItemsBackup {
    return { lastId: this.newestId, items: [...this.items.values()].map((item) => ({ ...item })) };
  }

  /** Times go back, and ids given since will be given again. */
  restore({ lastId, items }: ItemsBackup): void {
    this.newestId = lastId;
    this.items.clear();
    for (const item of items) this.items.set(item.id, { ...item });
    this.ids.restore(this.items.keys());
    this.byTime.changed();
  }

  page(query: Query): Page {
    const { filter, orders, offset, limit, count, isHidden } = query;
    const [first] = orders;
    const isById = first === undefined || first.field === 'id';
    const isFree = !filter.test && !isHidden && !filter.ids && filter.updatedFrom === -Infinity;
    if (isById && isFree && count && filter.updatedTo === Infinity) return this.counted(query);
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
        return item.fields[field] ?? this.initialOf(item, field);
    }
  }

  private insert(item: Item): Item {
    this.newestId = item.id;
    this.items.set(item.id, item);
    this.ids.push(item.id);
    this.byTime.changed();
    return item;
  }

  private initialOf(item: Item, field: string): Value {
    if (Object.hasOwn(item.fields, field)) return null;
    const made = item.generator?.valueOf(item.id, field);
    if (made !== undefined) return made;
    if (field === 'title' && 'title' in this.defaults)
      return `${textOf(this.defaults['title']) ?? ''} #${item.id}`;
    return this.defaults[field] ?? this.fields.defaultOf(field);
  }

  /** In the order that is wanted where it costs nothing. */
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

  /** A page by id with a count and without a scan. */
  private counted({ filter: { above, below }, orders, offset, limit }: Query): Page {
    const first = this.ids.indexFrom(above + 1);
    const end = Math.max(first, this.ids.indexFrom(below));
    const places = Array.from({ length: Math.min(limit, end - first - offset) }, (_, index) =>
      orders[0]?.descending === true ? end - 1 - offset - index : first + offset + index,
    );
    return { items: places.flatMap((place) => this.at(place) ?? []), total: end - first };
  }

  private sorted(items: readonly Item[], orders: readonly Order[]): Item[] {
    const keyed = items.map((item) => ({
      item,
      keys: orders.map(({ field }) => {
        const value = this.valueOf(item, field);
        return value === null ? '' : actualKey(value, this.fields.kindOf(field) ?? 'string');
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

  private writable(fields: Values): Values {
    const written: Values = {};
    for (const [name, value] of Object.entries(fields)) {
      if (this.fields.isWritable(name)) written[name] = this.fields.stored(name, value);
    }
    return written;
  }
}

/** By time alone, or by time and then by id in the same direction. */
function isByTime(orders: readonly Order[]): boolean {
  const [first, second] = orders;
  if (first?.field !== 'updatedTime' || orders.length > 2) return false;
  return second === undefined || (second.field === 'id' && second.descending === first.descending);
}
