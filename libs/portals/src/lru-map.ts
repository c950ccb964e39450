/** A bounded map that evicts the least recently used entry. */
export class LruMap<K, V> {
  private readonly entries = new Map<K, V>();

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.entries.size;
  }

  get(key: K): V | undefined {
    const value = this.entries.get(key);
    if (value !== undefined) this.putLast(key, value);
    return value;
  }

  set(key: K, value: V): void {
    this.putLast(key, value);
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= this.limit) break;
      this.entries.delete(oldest);
    }
  }

  delete(key: K): void {
    this.entries.delete(key);
  }

  values(): Iterable<V> {
    return this.entries.values();
  }

  private putLast(key: K, value: V): void {
    this.entries.delete(key);
    this.entries.set(key, value);
  }
}
