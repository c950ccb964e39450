import { momentOf, type FieldSet } from './field-set.js';
import { comparable, type Filter } from './filter.js';
import { textOf, type Value, type Values } from './php.js';

/** Only what was set is kept; the rest is made up when it is shown. */
export interface Item {
  readonly id: number;
  readonly createdAtMs: number;
  readonly createdBy: number;
  updatedAtMs: number;
  updatedBy: number;
  fields: Values;
}

export interface Order {
  field: string;
  descending: boolean;
}

export interface Page {
  items: Item[];
  /** Undefined when nobody counted. */
  total?: number;
}

/** The items of one CRM object type at one portal. Ids only grow, so they are kept sorted at no cost. */
export class ItemStore {
  private readonly items = new Map<number, Item>();
  private readonly ids: number[] = [];
  private newestId = 0;

  constructor(
    readonly entityTypeId: number,
    private readonly fieldSet: FieldSet,
    private readonly initial: Readonly<Values> = {},
  ) {}

  get size(): number {
    return this.ids.length;
  }

  /** The highest id given so far, to a deleted item or not. */
  get lastId(): number {
    return this.newestId;
  }

  get fieldNames(): Iterable<string> {
    return this.fieldSet.names;
  }

  get(id: number): Item | undefined {
    return this.items.get(id);
  }

  add(fields: Values, userId: number, nowMs: number): Item {
    this.newestId += 1;
    const item: Item = {
      id: this.newestId,
      createdAtMs: nowMs,
      createdBy: userId,
      updatedAtMs: nowMs,
      updatedBy: userId,
      fields: this.writable(fields),
    };
    this.items.set(item.id, item);
    this.ids.push(item.id);
    return item;
  }

  update(item: Item, fields: Values, userId: number, nowMs: number): void {
    item.fields = { ...item.fields, ...this.writable(fields) };
    item.updatedAtMs = nowMs;
    item.updatedBy = userId;
  }

  delete(id: number): boolean {
    if (!this.items.delete(id)) return false;
    this.ids.splice(this.firstAtLeast(id), 1);
    return true;
  }

  /** `count: false` stops at the page's last item, as `start=-1` does (settings/performance/huge-data.md). */
  page(filter: Filter, orders: readonly Order[], offset: number, limit: number, count: boolean): Page {
    const byId = orders.length === 0 || orders[0]?.field === 'id';
    const ascending = byId && orders[0]?.descending !== true;
    const enough = ascending && !count && !filter.test ? offset + limit : Infinity;
    const ids = this.candidates(filter, enough);
    if (byId && !ascending) ids.reverse();
    if (byId && !filter.test) return this.cut(ids, offset, limit, count);
    const matching: Item[] = [];
    for (const id of ids) {
      const item = this.items.get(id);
      if (!item || filter.test?.((field) => this.valueOf(item, field)) === false) continue;
      matching.push(item);
      if (byId && !count && matching.length === offset + limit) break;
    }
    if (!byId) matching.sort((left, right) => this.compare(left, right, orders));
    return { items: matching.slice(offset, offset + limit), ...(count && { total: matching.length }) };
  }

  valueOf(item: Item, field: string): Value {
    switch (field) {
      case 'id':
        return item.id;
      case 'entityTypeId':
        return this.entityTypeId;
      case 'createdTime':
        return momentOf(item.createdAtMs);
      case 'createdBy':
        return item.createdBy;
      case 'updatedTime':
      case 'movedTime':
      case 'lastActivityTime':
        return momentOf(item.updatedAtMs);
      case 'updatedBy':
      case 'movedBy':
      case 'lastActivityBy':
        return item.updatedBy;
      default:
        return item.fields[field] ?? this.initialOf(item, field);
    }
  }

  private initialOf(item: Item, field: string): Value {
    if (Object.hasOwn(item.fields, field)) return null;
    if (field === 'title' && 'title' in this.initial)
      return `${textOf(this.initial['title']) ?? ''} #${item.id}`;
    return this.initial[field] ?? this.fieldSet.defaultOf(field);
  }

  private cut(ids: readonly number[], offset: number, limit: number, count: boolean): Page {
    const items = ids.slice(offset, offset + limit).flatMap((id) => this.items.get(id) ?? []);
    return { items, ...(count && { total: ids.length }) };
  }

  /** In ascending order. */
  private candidates({ ids, above, below }: Filter, enough: number): number[] {
    if (!ids) {
      const first = this.firstAtLeast(above + 1);
      return this.ids.slice(first, Math.min(this.firstAtLeast(below), first + enough));
    }
    return ids
      .filter((id) => id > above && id < below && this.items.has(id))
      .toSorted((left, right) => left - right);
  }

  private firstAtLeast(id: number): number {
    let low = 0;
    let high = this.ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ids[middle] ?? Infinity) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private compare(left: Item, right: Item, orders: readonly Order[]): number {
    for (const { field, descending } of orders) {
      const kind = this.fieldSet.kindOf(field) ?? 'string';
      const [a, b] = [left, right].map((item) => {
        const value = this.valueOf(item, field);
        return value === null ? '' : comparable(value, kind, field);
      });
      if (a === b || a === undefined || b === undefined) continue;
      return a < b === descending ? 1 : -1;
    }
    return left.id - right.id;
  }

  private writable(fields: Values): Values {
    const written: Values = {};
    for (const [name, value] of Object.entries(fields)) {
      if (this.fieldSet.isWritable(name)) written[name] = this.fieldSet.stored(name, value);
    }
    return written;
  }
}
