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

/** What is read of one type between two ids. */
export interface ScanPage {
  entityTypeId: number;
  after: string;
  /** Everything behind `after` up to here has been read. */
  last: string;
  /** Nothing was behind `last`. */
  isEnd: boolean;
  items: Item[];
  /** There, but they could not be read, each for itself: ten megabytes of text, say. */
  unreadable: string[];
  /** Began before the portal was asked. */
  read: ItemRead;
  portalClockMs?: number | undefined;
}

export interface ScanOptions {
  client: BatchClient;
  types: readonly Pick<ScanCursor, 'entityTypeId' | 'after' | 'lastId'>[];
  select: readonly string[];
  beginRead: (entityTypeId: number) => Promise<ItemRead>;
  /** One after the other, those of a type in order; the next are being read meanwhile. */
  onPage: (chunk: ScanPage) => Promise<void>;
  /** This type cannot be read on: it is gone, or not for this user, or its list makes no sense. The others go on. */
  onTypeUnavailable: (entityTypeId: number, error: unknown) => void;
  signal: AbortSignal;
  concurrency?: number;
}

/**
 * Fifty pages take seconds in the cloud. Each request in hand can hold 2,500 items in memory, beside those that are being
 * stored.
 */
const DEFAULT_CONCURRENCY = 2;

/** Items of a page that is too large as a whole: some megabytes each. */
const PART_OF_PAGE = 5;

/**
 * Walks through all items of some types by ascending id, 2,500 a request. An answer that is too large, or takes too long,
 * is asked for in smaller parts; what is left of it at last are single items, which are named and passed by.
 * @throws Bitrix24Error and whatever `onChunk` throws, after everything under way has ended
 */
export async function scan(options: ScanOptions): Promise<void> {
  await new KeysetScan(options).run();
}

class KeysetScan {
  private readonly cursors: Map<number, ScanCursor>;
  /** The last chunk, and so all before it. */
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
          // What the one under way leaves over may go with it: requests are what the portal is short of.
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

  /** Not even the first page came. */
  private async handleStuckBatch(chain: ChainedBatch, error: unknown): Promise<void> {
    if (isSplittable(error)) await this.scanSingly(chain);
    else this.giveUpType(chain, error);
  }

  /** What is about this type alone ends its way, and no other. */
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
   * The items of one page in small parts, each stored before the next is asked for, so that no more of them is in memory
   * than one part. What cannot be read by itself is named and passed by.
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

  /** Its type is read on as soon as its turn has come: so no more than one chunk of a type waits for its turn. */
  private async storePage(chunk: ScanPage, isPageDone = true): Promise<void> {
    const turn = this.stored;
    this.stored = turn.then(() => this.options.onPage(chunk));
    // Whoever waits for it hears of its failure.
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

/** Part of it was read, and there is room for that. */
function hasNoRoom(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.detail === 'no-room';
}

function sumPages(chains: readonly ChainedBatch[]): number {
  return chains.reduce((sum, { pages }) => sum + pages, 0);
}

function isOfItem(error: unknown): boolean {
  return isSplittable(error) || (error instanceof Bitrix24Error && error.recovery === 'never');
}
