import type { DeadLetterIndex } from './dead-letter-index.js';
import { LATE_LETTERS, SCAN_LIMIT, type LettersInPlace } from './dead-letter-store.js';

/** What an index lacks, or has in excess, by the ids of the letters that are there. */
export interface DeadLetterChanges {
  missing: string[];
  gone: string[];
  /** The order of the letters, if some of the missing ones belong before others that the index has. */
  order: string[] | undefined;
  /** There are more letters than an index takes. */
  more: boolean;
}

/** Of all letters: tens of milliseconds for {@link SCAN_LIMIT}. @throws whatever the store does */
export async function listChanges(
  letters: LettersInPlace,
  consumer: string,
  index: DeadLetterIndex,
): Promise<DeadLetterChanges> {
  const listed = await letters.listIds(consumer, undefined, SCAN_LIMIT + 1);
  const ids = listed.slice(0, SCAN_LIMIT);
  const there = new Set(ids);
  const gone = [...index.ids()].filter((id) => !there.has(id));
  const missing = ids.filter((id) => !index.has(id));
  return { missing, gone, order: orderIn(ids, missing, index), more: listed.length > ids.length };
}

/** Of the newest letters alone, which costs next to nothing: those that are gone stay unknown. */
export async function listNewest(
  letters: LettersInPlace,
  consumer: string,
  index: DeadLetterIndex,
): Promise<DeadLetterChanges> {
  const room = Math.max(0, SCAN_LIMIT - index.size);
  const ids = await letters.listIds(consumer, index.last, LATE_LETTERS + room + 1);
  const found = ids.filter((id) => !index.has(id));
  const missing = found.slice(0, room);
  return { missing, gone: [], order: orderIn(ids, missing, index), more: found.length > room };
}

function orderIn(
  ids: string[],
  [first]: readonly string[],
  index: DeadLetterIndex,
): DeadLetterChanges['order'] {
  if (first === undefined) return undefined;
  return ids.indexOf(first) < ids.findLastIndex((id) => index.has(id)) ? ids : undefined;
}
