/**
 * So many at once, in their order.
 * @template T
 * @param {Iterable<T>} items
 * @param {number} concurrency
 * @param {(item: T) => Promise<unknown>} work
 */
export async function inParallel(items, concurrency, work) {
  const left = items[Symbol.iterator]();
  const worker = async () => {
    for (let next = left.next(); !next.done; next = left.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
