import { PAGE_SIZE, type Chain } from './chain.js';

/** A type on its way through its items. */
export interface Way {
  readonly entityTypeId: number;
  /** Up to here it has been read. */
  after: string;
  /** The largest id that there was at the start; more may have come. */
  readonly lastId: string;
  state: 'waiting' | 'asked' | 'ended';
}

/** Pages that bring a way to its end, if no id is missing; one more shows that nothing came since. */
export function pagesTo(way: Pick<Way, 'after' | 'lastId'>): number {
  const left = BigInt(way.lastId) - BigInt(way.after);
  return left <= 0n ? 1 : Number((left + BigInt(PAGE_SIZE) - 1n) / BigInt(PAGE_SIZE)) + 1;
}

/**
 * The chains of the next request: as many pages of the first waiting type as there may be, and beside them types that fit
 * into the rest as a whole, so that forty small types are one request.
 */
export function nextChains(ways: readonly Way[], mostPages: number): Chain[] {
  const chains: Chain[] = [];
  let left = mostPages;
  for (const way of ways) {
    const pages = pagesTo(way);
    if (way.state !== 'waiting' || left === 0 || (chains.length > 0 && pages > left)) continue;
    const chain = { entityTypeId: way.entityTypeId, after: way.after, pages: Math.min(pages, left) };
    chains.push(chain);
    left -= chain.pages;
  }
  return chains;
}
