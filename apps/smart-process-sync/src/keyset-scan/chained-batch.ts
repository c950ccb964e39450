import {
  Bitrix24Error,
  type Command,
  type CommandOutcome,
  type Item,
  listOf,
  PAGE_SIZE,
} from '@relay/bitrix24';
import { z } from 'zod';
import { isItemId } from '../items/item-row.js';

/** Consecutive pages of one type in one batch request. */
export interface ChainedBatch {
  entityTypeId: number;
  /** Ids above this one. */
  after: string;
  pages: number;
}

/** The position of a type's scan. */
export interface ScanCursor {
  readonly entityTypeId: number;
  /** Everything up to this id has been read. */
  after: string;
  /** The largest id at the start; more may follow. */
  readonly lastId: string;
  state: 'waiting' | 'requested' | 'ended';
}

/** Pages until the end of a scan, if no id is missing; one more shows that nothing was added since. */
function countPages({ lastId, after }: Pick<ScanCursor, 'after' | 'lastId'>): number {
  const left = BigInt(lastId) - BigInt(after);
  return left <= 0n ? 1 : Number((left + BigInt(PAGE_SIZE) - 1n) / BigInt(PAGE_SIZE)) + 1;
}

/**
 * The chained batches of the next request: the pages that the waiting types still need, one type after the other, up to the
 * maximum. So forty small types are one request, and the page that shows the end of a type costs no request of its own
 * while there is anything else to read.
 */
export function planBatches(cursors: readonly ScanCursor[], maxPages: number): ChainedBatch[] {
  const batches: ChainedBatch[] = [];
  let left = maxPages;
  for (const cursor of cursors) {
    if (cursor.state !== 'waiting' || left === 0) continue;
    const { entityTypeId, after } = cursor;
    const pages = Math.min(countPages(cursor), left);
    batches.push({ entityTypeId, after, pages });
    left -= pages;
  }
  return batches;
}

export interface ChainedBatchResult {
  /** By ascending id. */
  items: Item[];
  /** No items followed when the portal was asked. */
  isEnd: boolean;
  /** Error of the first page that could not be read; the pages before it are valid. */
  error?: unknown;
  /** The portal's clock at the start of the response, in milliseconds. */
  portalClockMs?: number;
}

/**
 * The commands of a chained batch: each page begins after the last id of the previous page, which the portal inserts
 * (`settings/how-to-call-rest-api/batch.md`, `settings/performance/huge-data.md`). A page of fewer than fifty items has no
 * such id; then the reference is empty, and the following pages are meaningless.
 */
export function buildCommands(
  { entityTypeId, after, pages }: ChainedBatch,
  select: readonly string[],
): Record<string, Command> {
  const commands: Record<string, Command> = {};
  for (let page = 0; page < pages; page++) {
    const lastId =
      page === 0 ? after : `$result[${keyOf(entityTypeId, page - 1)}][items][${PAGE_SIZE - 1}][id]`;
    commands[keyOf(entityTypeId, page)] = {
      method: 'crm.item.list',
      params: { entityTypeId, filter: { '>id': lastId }, order: { id: 'ASC' }, start: -1, select },
    };
  }
  return commands;
}

/** Checked without a copy of every item: there are 2,500 of them. */
const page = z.object({ items: listOf(z.custom<Item>(isItem)) });

function isItem(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('id' in value)) return false;
  return isItemId(value.id);
}

/** The valid pages of a response, in order, until one that is short, failed, or invalid. Later pages are ignored. */
export function readChainedBatch(
  { entityTypeId, after, pages }: ChainedBatch,
  outcomes: Readonly<Record<string, CommandOutcome>>,
  memberId: string,
): ChainedBatchResult {
  const items: Item[] = [];
  const clock = clockOf(outcomes[keyOf(entityTypeId, 0)]);
  const result = (rest: Pick<ChainedBatchResult, 'isEnd' | 'error'>): ChainedBatchResult => ({
    items,
    ...clock,
    ...rest,
  });
  let last = BigInt(after);
  for (let number = 0; number < pages; number++) {
    const outcome = outcomes[keyOf(entityTypeId, number)];
    if (!outcome?.ok) return result({ isEnd: false, error: outcome?.error ?? invalidPage(memberId) });
    const read = page.safeParse(outcome.result);
    if (!read.success) return result({ isEnd: false, error: invalidPage(memberId) });
    for (const item of read.data.items) {
      // A list that does not continue after the last id has ignored the filter.
      if (BigInt(item.id) <= last) return result({ isEnd: false, error: invalidPage(memberId) });
      last = BigInt(item.id);
    }
    items.push(...read.data.items);
    if (read.data.items.length < PAGE_SIZE) return result({ isEnd: true });
  }
  return result({ isEnd: false });
}

function clockOf(outcome: CommandOutcome | undefined): Pick<ChainedBatchResult, 'portalClockMs'> {
  const start = outcome?.ok ? outcome.time?.start : undefined;
  return start === undefined ? {} : { portalClockMs: start * 1_000 };
}

function invalidPage(memberId: string): Bitrix24Error {
  return new Bitrix24Error('BAD_ANSWER', {
    memberId,
    method: 'crm.item.list',
    detail: 'wrong-shape',
    delivered: 'yes',
  });
}

function keyOf(entityTypeId: number, number: number): string {
  return `t${entityTypeId}p${number}`;
}
