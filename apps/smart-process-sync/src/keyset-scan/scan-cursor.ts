import { PAGE_SIZE, type ChainedBatch } from './chained-batch.js';

/** A type on its way through its items. */
export interface ScanCursor {
  readonly entityTypeId: number;
  /** Up to here it has been read. */
  after: string;
  /** The largest id that there was at the start; more may have come. */
  readonly lastId: string;
  state: 'waiting' | 'asked' | 'ended';
}

/** Pages that bring a way to its end, if no id is missing; one more shows that nothing came since. */
export function countPages(way: Pick<ScanCursor, 'after' | 'lastId'>): number {
  const left = BigInt(way.lastId) - BigInt(way.after);
  return left <= 0n ? 1 : Number((left + BigInt(PAGE_SIZE) - 1n) / BigInt(PAGE_SIZE)) + 1;
}

/**
 * The chains of the next request: the pages that the waiting types still need, one type after the other, until there are as
 * many as there may be. So forty small types are one request, and the one page that shows that nothing came behind a full
 * one costs no request of its own while there is anything else to read.
 */
export function planBatches(ways: readonly ScanCursor[], maxPages: number): ChainedBatch[] {
  const chains: ChainedBatch[] = [];
  let left = maxPages;
  for (const way of ways) {
    if (way.state !== 'waiting' || left === 0) continue;
    const chain = {
      entityTypeId: way.entityTypeId,
      after: way.after,
      pages: Math.min(countPages(way), left),
    };
    chains.push(chain);
    left -= chain.pages;
  }
  return chains;
}
