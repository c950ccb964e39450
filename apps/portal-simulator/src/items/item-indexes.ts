import type { Item } from './item.js';

/** Ids in ascending order. Nearly always a new id is the highest, and appending it keeps them sorted. */
export class SortedIds {
  private ids: number[] = [];

  get size(): number {
    return this.ids.length;
  }

  at(index: number): number | undefined {
    return this.ids[index];
  }

  add(id: number): void {
    if (id > (this.ids.at(-1) ?? -Infinity)) this.ids.push(id);
    else this.ids.splice(this.indexFrom(id), 0, id);
  }

  delete(id: number): void {
    this.ids.splice(this.indexFrom(id), 1);
  }

  restore(ids: Iterable<number>): void {
    this.ids = [...ids];
  }

  /** The index of the first id that is at least `id`. */
  indexFrom(id: number): number {
    let low = 0;
    let high = this.ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ids[middle] ?? Infinity) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Ids between the bounds, both exclusive. */
  *between(above: number, below: number, descending: boolean): Generator<number> {
    let first = this.indexFrom(above + 1);
    let last = this.indexFrom(below) - 1;
    while (first <= last) {
      const id = this.ids[descending ? last-- : first++];
      if (id !== undefined) yield id;
    }
  }
}

/** The items of one type by `updatedTime`, then by `id`; sorted again after a change. */
export class ItemsByTime {
  private sorted: Item[] | undefined;

  constructor(private readonly items: ReadonlyMap<number, Item>) {}

  invalidate(): void {
    this.sorted = undefined;
  }

  /** Items with `updatedTime` between these seconds, both inclusive. */
  *between(fromSecond: number, toSecond: number, descending: boolean): Generator<Item> {
    const sorted = (this.sorted ??= [...this.items.values()].toSorted(
      (left, right) => secondOf(left) - secondOf(right) || left.id - right.id,
    ));
    let first = firstFrom(sorted, fromSecond);
    let last = firstFrom(sorted, toSecond + 1) - 1;
    while (first <= last) {
      const item = sorted[descending ? last-- : first++];
      if (item) yield item;
    }
  }
}

function secondOf({ updatedAtMs }: Item): number {
  return Math.floor(updatedAtMs / 1000);
}

function firstFrom(sorted: readonly Item[], second: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = sorted[middle];
    if (item && secondOf(item) < second) low = middle + 1;
    else high = middle;
  }
  return low;
}
