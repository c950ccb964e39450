/** Below this, times that are gone stay in the heap. */
const MIN_HEAP = 64;

/**
 * What all lanes hold together, counted while it changes: a scrape, a readiness probe or a process report visits no
 * lane and no event.
 */
export class LaneTotals {
  /** Events that wait or are in flight, each counted although merged. */
  events = 0;
  /** Of event data and of large messages, waiting or in flight. */
  bytes = 0;
  /** How many entries and batches in flight began at a time, in Unix milliseconds. */
  private readonly countByTime = new Map<number, number>();
  /** Binary heap of these times, the oldest first; times without a count are dropped when they come to the top. */
  private readonly heap: number[] = [];

  /** When the oldest event was received; undefined when there is none. */
  get oldestAt(): number | undefined {
    for (let [oldest] = this.heap; oldest !== undefined; [oldest] = this.heap) {
      if (this.countByTime.has(oldest)) return oldest;
      this.dropOldest();
    }
    return undefined;
  }

  addTime(time: number): void {
    const count = this.countByTime.get(time);
    this.countByTime.set(time, (count ?? 0) + 1);
    if (count === undefined) this.push(time);
  }

  removeTime(time: number): void {
    const count = this.countByTime.get(time) ?? 0;
    if (count > 1) this.countByTime.set(time, count - 1);
    else this.countByTime.delete(time);
    // Without readers nothing else drops the times that are gone.
    if (this.heap.length > 2 * this.countByTime.size + MIN_HEAP) this.rebuild();
  }

  /** A time that left and came back is in the heap twice, which does no harm. */
  private push(time: number): void {
    const { heap } = this;
    let index = heap.push(time) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] ?? time;
      if (above <= time) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = time;
  }

  private dropOldest(): void {
    const { heap } = this;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if ((heap[child + 1] ?? Infinity) < (heap[child] ?? Infinity)) child += 1;
      const below = heap[child] ?? Infinity;
      if (below >= last) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
  }

  private rebuild(): void {
    this.heap.length = 0;
    for (const time of [...this.countByTime.keys()].toSorted((one, two) => one - two)) this.heap.push(time);
  }
}
