/**
 * Weak cache: a value is shared by key as long as it is referenced elsewhere, and garbage-collected afterwards.
 */
export class WeakValues<V extends object> {
  private readonly refs = new Map<string, WeakRef<V>>();
  private readonly collected = new FinalizationRegistry<string>((key) => {
    // Unless a new value has replaced it.
    if (this.refs.get(key)?.deref() === undefined) this.refs.delete(key);
  });

  getOrCreate(key: string, create: () => V): V {
    const known = this.refs.get(key)?.deref();
    if (known) return known;
    const created = create();
    this.refs.set(key, new WeakRef(created));
    this.collected.register(created, key);
    return created;
  }

  values(): V[] {
    return [...this.refs.values()].map((ref) => ref.deref()).filter((value) => value !== undefined);
  }

  /** Also counts what is collected and not yet removed. */
  get size(): number {
    return this.refs.size;
  }
}
