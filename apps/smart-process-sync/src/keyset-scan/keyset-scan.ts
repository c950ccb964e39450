import {
  type BatchClient,
  Bitrix24Error,
  type CommandOutcome,
  isSplittable,
  type Item,
  MAX_BATCH_COMMANDS,
  readItems,
} from '@relay/bitrix24';
import { isPortalError } from '../error-scope.js';
import type { ItemRead } from '../mirror-store.js';
import {
  type ChainedBatch,
  type ChainedBatchResult,
  buildCommands,
  readChainedBatch,
} from './chained-batch.js';
import { planBatches, type ScanCursor } from './scan-cursor.js';

/** The items of one type between two ids. */
export interface ScanPage {
  entityTypeId: number;
  after: string;
  /** Everything above `after` up to this id has been read. */
  last: string;
  /** No items followed `last`. */
  isEnd: boolean;
  items: Item[];
  /** Existing items that could not be read, even singly: ten megabytes of text, say. */
  unreadable: string[];
  /** Started before the portal was asked. */
  read: ItemRead;
  portalClockMs?: number | undefined;
}

export interface ScanOptions {
  client: BatchClient;
  types: readonly Pick<ScanCursor, 'entityTypeId' | 'after' | 'lastId'>[];
  select: readonly string[];
  beginRead: (entityTypeId: number) => Promise<ItemRead>;
  /** Called one after the other, in order within a type; the next pages are read meanwhile. */
  onPage: (chunk: ScanPage) => Promise<void>;
  /** This type cannot be read further: it is deleted, hidden from this user, or its list is invalid. The others continue. */
  onTypeUnavailable: (entityTypeId: number, error: unknown) => void;
  signal: AbortSignal;
  concurrency?: number;
}

/**
 * Fifty pages take seconds in the cloud. Each request in flight can hold 2,500 items in memory, beside those that are being
 * stored.
 */
const DEFAULT_CONCURRENCY = 2;

/** Page size if a page is too large as a whole: some megabytes per item. */
const PART_OF_PAGE = 5;

/**
 * Scans all items of some types by ascending id, 2,500 per request. If a response is too large or takes too long,
 * the page is read in smaller parts, down to single items; unreadable items are reported and skipped.
 * @throws Bitrix24Error and errors of `onChunk`, after all requests in flight have ended
 */
export async function scan(options: ScanOptions): Promise<void> {
  await new KeysetScan(options).run();
}

class KeysetScan {
  private readonly cursors: Map<number, ScanCursor>;
  /** Resolves after the last chunk, and so all before it. */
  private stored: Promise<void> = Promise.resolve();
  private readonly failed = new AbortController();
  private readonly signal: AbortSignal;
  private maxPages = MAX_BATCH_COMMANDS;

  constructor(private readonly options: ScanOptions) {
    this.cursors = new Map(options.types.map((type) => [type.entityTypeId, { ...type, state: 'waiting' }]));
    this.signal = AbortSignal.any([options.signal, this.failed.signal]);
  }

  async run(): Promise<void> {
    const inFlight = new Set<Promise<void>>();
    try {
      for (;;) {
        while (inFlight.size < (this.options.concurrency ?? DEFAULT_CONCURRENCY)) {
          this.signal.throwIfAborted();
          const chains = planBatches([...this.cursors.values()], this.maxPages);
          if (chains.length === 0) break;
          // Pages that the request in flight leaves over can join this one: the portal limits the number of requests.
          if (inFlight.size > 0 && sumPages(chains) < this.maxPages) break;
          for (const { entityTypeId } of chains) this.cursor(entityTypeId).state = 'asked';
          const asked: Promise<void> = this.sendBatches(chains).finally(() => inFlight.delete(asked));
          inFlight.add(asked);
        }
        if (inFlight.size === 0) break;
        await Promise.race(inFlight);
      }
      await this.stored;
    } catch (error) {
      this.failed.abort(error);
      throw error;
    } finally {
      await Promise.allSettled(inFlight);
      await Promise.allSettled([this.stored]);
    }
  }

  private async sendBatches(chains: readonly ChainedBatch[]): Promise<void> {
    const { client, select, beginRead } = this.options;
    const reads = new Map<number, ItemRead>();
    for (const { entityTypeId } of chains) reads.set(entityTypeId, await beginRead(entityTypeId));
    const commands = Object.assign({}, ...chains.map((chain) => buildCommands(chain, select)));
    let outcomes: Record<string, CommandOutcome>;
    try {
      outcomes = await client.batch(commands, { signal: this.signal });
    } catch (error) {
      return await this.retrySmaller(chains, error);
    }
    for (const chain of chains) {
      const read = reads.get(chain.entityTypeId);
      if (read) await this.handleResult(chain, readChainedBatch(chain, outcomes, client.memberId), read);
    }
  }

  private async handleResult(chain: ChainedBatch, answer: ChainedBatchResult, read: ItemRead): Promise<void> {
    const { items, isEnd, error, portalClockMs } = answer;
    if (items.length === 0 && !isEnd) return await this.handleStuckBatch(chain, error);
    const last = String(items.at(-1)?.id ?? chain.after);
    await this.storePage({ ...chain, last, isEnd, items, unreadable: [], read, portalClockMs });
  }

  /** Not even the first page was read. */
  private async handleStuckBatch(chain: ChainedBatch, error: unknown): Promise<void> {
    if (isSplittable(error)) await this.scanSingly(chain);
    else this.giveUpType(chain, error);
  }

  /** An error of this type ends its scan, and no other. */
  private giveUpType({ entityTypeId }: ChainedBatch, error: unknown): void {
    if (!(error instanceof Bitrix24Error) || isPortalError(error)) throw error;
    this.cursor(entityTypeId).state = 'ended';
    this.options.onTypeUnavailable(entityTypeId, error);
  }

  private async retrySmaller(chains: readonly ChainedBatch[], error: unknown): Promise<void> {
    if (!isSplittable(error)) throw error;
    const [only] = chains;
    if (chains.length === 1 && only?.pages === 1) return await this.scanSingly(only);
    this.maxPages = Math.min(this.maxPages, Math.max(1, Math.floor(sumPages(chains) / 2)));
    for (const { entityTypeId } of chains) this.cursor(entityTypeId).state = 'waiting';
  }

  /**
   * Reads one page in small parts, each stored before the next is requested, so that at most one part is in
   * memory. Unreadable items are reported and skipped.
   */
  private async scanSingly({ entityTypeId, after }: ChainedBatch): Promise<void> {
    const { client, beginRead } = this.options;
    const chain = { entityTypeId, after, pages: 1 };
    const commands = buildCommands(chain, ['id']);
    const listed = readChainedBatch(
      chain,
      await client.batch(commands, { signal: this.signal }),
      client.memberId,
    );
    if (listed.error !== undefined) return this.giveUpType(chain, listed.error);
    const ids = listed.items.map((item) => String(item.id));
    let size = PART_OF_PAGE;
    let behind = after;
    for (let at = 0; at < ids.length || at === 0;) {
      const part = ids.slice(at, at + size);
      const read = await beginRead(entityTypeId);
      let brought: Pick<ScanPage, 'items' | 'unreadable'>;
      try {
        brought = await this.readPart(entityTypeId, part);
      } catch (error) {
        if (!hasNoRoom(error) || size === 1) throw error;
        size = 1;
        continue;
      }
      at += part.length;
      const last = part.at(-1) ?? behind;
      const isLast = at >= ids.length;
      const chunk = { entityTypeId, after: behind, last, ...brought, read };
      await this.storePage({ ...chunk, isEnd: isLast && listed.isEnd }, isLast);
      await this.stored;
      behind = last;
      if (isLast) break;
    }
  }

  private async readPart(
    entityTypeId: number,
    ids: readonly string[],
  ): Promise<Pick<ScanPage, 'items' | 'unreadable'>> {
    const { client, select } = this.options;
    const items: Item[] = [];
    const unreadable: string[] = [];
    const queries = ids.map((one) => ({ entityTypeId, ids: [one], select }));
    const options = { signal: this.signal, requestsAtOnce: 1 };
    for (const [, outcomes] of await readItems(client, queries, options)) {
      for (const [id, outcome] of outcomes) {
        if (outcome.state === 'found') items.push(outcome.item);
        else if (outcome.state === 'failed' && !isOfItem(outcome.error)) throw outcome.error;
        else if (outcome.state === 'failed') unreadable.push(id);
      }
    }
    return { items, unreadable };
  }

  /** The type is read further as soon as its chunk is next: at most one chunk of a type waits to be stored. */
  private async storePage(chunk: ScanPage, isPageDone = true): Promise<void> {
    const turn = this.stored;
    this.stored = turn.then(() => this.options.onPage(chunk));
    // The caller that awaits it gets the error.
    this.stored.catch(() => undefined);
    await turn;
    const way = this.cursor(chunk.entityTypeId);
    way.after = chunk.last;
    if (isPageDone) way.state = chunk.isEnd ? 'ended' : 'waiting';
  }

  private cursor(entityTypeId: number): ScanCursor {
    const way = this.cursors.get(entityTypeId);
    if (!way) throw new TypeError(`type ${entityTypeId} is not walked`);
    return way;
  }
}

/** The whole response does not fit into memory, but a part of it does. */
function hasNoRoom(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.detail === 'no-room';
}

function sumPages(chains: readonly ChainedBatch[]): number {
  return chains.reduce((sum, { pages }) => sum + pages, 0);
}

function isOfItem(error: unknown): boolean {
  return isSplittable(error) || (error instanceof Bitrix24Error && error.recovery === 'never');
}
