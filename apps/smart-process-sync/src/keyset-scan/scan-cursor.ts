import { PAGE_SIZE, type ChainedBatch } from './chained-batch.js';

/** The position of a type's scan. */
export interface ScanCursor {
  readonly entityTypeId: number;
  /** Everything up to this id has been read. */
  after: string;
  /** The largest id at the start; more may follow. */
  readonly lastId: string;
  state: 'waiting' | 'asked' | 'ended';
}

/** Pages until the end of a scan, if no id is missing; one more shows that nothing was added since. */
export function countPages(way: Pick<ScanCursor, 'after' | 'lastId'>): number {
  const left = BigInt(way.lastId) - BigInt(way.after);
  return left <= 0n ? 1 : Number((left + BigInt(PAGE_SIZE) - 1n) / BigInt(PAGE_SIZE)) + 1;
}

/**
 * The page chains of the next request: the pages that the waiting types still need, one type after the other, up to the
 * maximum. So forty small types are one request, and the page that shows the end of a type costs no request of its own
 * while there is anything else to read.
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
