import {
  type BatchClient,
  Bitrix24Error,
  type CommandOutcome,
  isSplittable,
  type Item,
  MAX_BATCH_COMMANDS,
  readItems,
} from '@relay/bitrix24';
import type { ItemRead } from '../items/mirror-store.js';
import {
  buildCommands,
  type ChainedBatch,
  type ChainedBatchResult,
  planBatches,
  readChainedBatch,
  type ScanCursor,
} from './chained-batch.js';
import { isItemError, isPortalError } from '../items/error-scope.js';

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
  onPage: (page: ScanPage) => Promise<void>;
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
const ITEMS_PER_PART = 5;

/**
 * Scans all items of some types by ascending id, 2,500 per request. If a response is too large or takes too long,
 * the page is read in smaller parts, down to single items; unreadable items are reported and skipped.
 * @throws Bitrix24Error and errors of `onPage`, after all requests in flight have ended
 */
export async function scan(options: ScanOptions): Promise<void> {
  await new KeysetScan(options).run();
}

class KeysetScan {
  private readonly cursors: Map<number, ScanCursor>;
  /** Resolves when the last page, and so every page before it, is stored. */
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
          const batches = planBatches([...this.cursors.values()], this.maxPages);
          if (batches.length === 0) break;
          // Pages that the request in flight leaves over can join this one: the portal limits the number of requests.
          if (inFlight.size > 0 && sumPages(batches) < this.maxPages) break;
          for (const { entityTypeId } of batches) this.cursor(entityTypeId).state = 'requested';
          const request: Promise<void> = this.sendBatches(batches).finally(() => inFlight.delete(request));
          inFlight.add(request);
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

  private async sendBatches(batches: readonly ChainedBatch[]): Promise<void> {
    const { client, select, beginRead } = this.options;
    const reads = new Map<number, ItemRead>();
    for (const { entityTypeId } of batches) reads.set(entityTypeId, await beginRead(entityTypeId));
    const commands = Object.assign({}, ...batches.map((batch) => buildCommands(batch, select)));
    let outcomes: Record<string, CommandOutcome>;
    try {
      outcomes = await client.batch(commands, { signal: this.signal });
    } catch (error) {
      return await this.retrySmaller(batches, error);
    }
    for (const batch of batches) {
      const read = reads.get(batch.entityTypeId);
      if (read) await this.handleResult(batch, readChainedBatch(batch, outcomes, client.memberId), read);
    }
  }

  private async handleResult(batch: ChainedBatch, result: ChainedBatchResult, read: ItemRead): Promise<void> {
    const { items, isEnd, error, portalClockMs } = result;
    if (items.length === 0 && !isEnd) return await this.handleStuckBatch(batch, error);
    const last = String(items.at(-1)?.id ?? batch.after);
    await this.storePage({ ...batch, last, isEnd, items, unreadable: [], read, portalClockMs });
  }

  /** Not even the first page was read. */
  private async handleStuckBatch(batch: ChainedBatch, error: unknown): Promise<void> {
    if (isSplittable(error)) await this.scanSingly(batch);
    else this.giveUpType(batch, error);
  }

  /** An error of this type ends its scan, and no other. */
  private giveUpType({ entityTypeId }: ChainedBatch, error: unknown): void {
    if (!(error instanceof Bitrix24Error) || isPortalError(error)) throw error;
    this.cursor(entityTypeId).state = 'ended';
    this.options.onTypeUnavailable(entityTypeId, error);
  }

  private async retrySmaller(batches: readonly ChainedBatch[], error: unknown): Promise<void> {
    if (!isSplittable(error)) throw error;
    const [only] = batches;
    if (batches.length === 1 && only?.pages === 1) return await this.scanSingly(only);
    this.maxPages = Math.min(this.maxPages, Math.max(1, Math.floor(sumPages(batches) / 2)));
    for (const { entityTypeId } of batches) this.cursor(entityTypeId).state = 'waiting';
  }

  /**
   * Reads one page in small parts, each stored before the next is requested, so that at most one part is in
   * memory. Unreadable items are reported and skipped.
   */
  private async scanSingly({ entityTypeId, after }: ChainedBatch): Promise<void> {
    const { client, beginRead } = this.options;
    const batch = { entityTypeId, after, pages: 1 };
    const commands = buildCommands(batch, ['id']);
    const listed = readChainedBatch(
      batch,
      await client.batch(commands, { signal: this.signal }),
      client.memberId,
    );
    if (listed.error !== undefined) return this.giveUpType(batch, listed.error);
    const ids = listed.items.map((item) => String(item.id));
    let size = ITEMS_PER_PART;
    let position = after;
    for (let at = 0; at < ids.length || at === 0;) {
      const part = ids.slice(at, at + size);
      const read = await beginRead(entityTypeId);
      let content: Pick<ScanPage, 'items' | 'unreadable'>;
      try {
        content = await this.readPart(entityTypeId, part);
      } catch (error) {
        if (!hasNoRoom(error) || size === 1) throw error;
        size = 1;
        continue;
      }
      at += part.length;
      const last = part.at(-1) ?? position;
      const isLast = at >= ids.length;
      const page = { entityTypeId, after: position, last, ...content, read };
      await this.storePage({ ...page, isEnd: isLast && listed.isEnd }, isLast);
      await this.stored;
      position = last;
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
    const options = { signal: this.signal, concurrency: 1 };
    for (const [, outcomes] of await readItems(client, queries, options)) {
      for (const [id, outcome] of outcomes) {
        if (outcome.state === 'found') items.push(outcome.item);
        else if (outcome.state === 'failed' && !isItemError(outcome.error)) throw outcome.error;
        else if (outcome.state === 'failed') unreadable.push(id);
      }
    }
    return { items, unreadable };
  }

  /** The scan of the type continues when its page is the next to be stored: at most one page of a type waits. */
  private async storePage(page: ScanPage, isPageDone = true): Promise<void> {
    const previous = this.stored;
    this.stored = previous.then(() => this.options.onPage(page));
    // The caller that awaits it gets the error.
    this.stored.catch(() => undefined);
    await previous;
    const cursor = this.cursor(page.entityTypeId);
    cursor.after = page.last;
    if (isPageDone) cursor.state = page.isEnd ? 'ended' : 'waiting';
  }

  private cursor(entityTypeId: number): ScanCursor {
    const cursor = this.cursors.get(entityTypeId);
    if (!cursor) throw new TypeError(`type ${entityTypeId} is not scanned`);
    return cursor;
  }
}

/** The response does not fit into memory; a smaller one may. */
function hasNoRoom(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.detail === 'no-room';
}

function sumPages(batches: readonly ChainedBatch[]): number {
  return batches.reduce((sum, { pages }) => sum + pages, 0);
}
