/** What is read of an entry. */
interface Entry {
  /** Unix time in milliseconds. */
  readonly view: { readonly firstSeenAt: number };
}

/**
 * What waits for one handler, in order of arrival. `repeats` are taken after `fresh`: their entities were in a batch since the
 * lane was last empty, so most of them are what the handler's own writes have caused, and find nothing to do.
 */
export class PendingEntries<E extends Entry> {
  private fresh = new Map<string, E>();
  private readonly repeats = new Map<string, E>();

  get size(): number {
    return this.fresh.size + this.repeats.size;
  }

  get freshSize(): number {
    return this.fresh.size;
  }

  get(key: string): E | undefined {
    return this.fresh.get(key) ?? this.repeats.get(key);
  }

  add(key: string, entry: E, isRepeat: boolean): void {
    (isRepeat ? this.repeats : this.fresh).set(key, entry);
  }

  delete(key: string): void {
    if (!this.fresh.delete(key)) this.repeats.delete(key);
  }

  /** Before all others, in this order. */
  addFirst(entries: ReadonlyMap<string, E>): void {
    this.fresh = new Map([...entries, ...this.fresh]);
  }

  /** In the order in which they are taken. */
  *inOrder(): Iterable<[key: string, entry: E]> {
    yield* this.fresh;
    yield* this.repeats;
  }

  /** The oldest of `fresh` and of `repeats`. */
  *oldest(): Iterable<E> {
    for (const entries of [this.fresh, this.repeats]) {
      const [first] = entries.values();
      if (first) yield first;
    }
  }

  /** Repeats that were received before this time wait behind nothing any more that comes from now on. */
  promote(receivedBefore: number): void {
    for (const [key, entry] of this.repeats) {
      if (entry.view.firstSeenAt >= receivedBefore) continue;
      this.repeats.delete(key);
      this.fresh.set(key, entry);
    }
  }

  takeRepeat(): E | undefined {
    for (const [key, entry] of this.repeats) {
      this.repeats.delete(key);
      return entry;
    }
    return undefined;
  }
}
