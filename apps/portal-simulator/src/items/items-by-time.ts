import type { Item } from './item.js';

/** The items of one type in the order of `updatedTime`, then of `id`; sorted again when something has changed. */
export class ItemsByTime {
  private sorted: Item[] | undefined;

  constructor(private readonly items: ReadonlyMap<number, Item>) {}

  changed(): void {
    this.sorted = undefined;
  }

  /** Items that were updated in these whole seconds, both included. */
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

export function secondOf({ updatedAtMs }: Item): number {
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
