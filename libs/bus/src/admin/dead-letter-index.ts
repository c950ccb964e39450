import {
  matchesFilter,
  summarize,
  toDeadLetter,
  toDeadLetterDetail,
  type DeadLetter,
  type DeadLetterDetail,
  type DeadLetterFilter,
  type DeadLetterRecord,
  type DeadLetterSummary,
} from './dead-letter-store.js';

/** Of all letters of an index: what 40,000 usual events take. */
const MAX_CONTENT_BYTES = 16 * 1024 * 1024;
const SLAB_BYTES = 256 * 1024;
/** What a failure says can be long, and each of many letters can say something else. */
const MAX_MESSAGE_LENGTH = 8 * 1024 * 1024;
const SHORT_MESSAGE_LENGTH = 60;
/** Codes, messages, portals and events that most letters share with others. */
const MAX_TEXTS = 10_000;

interface IndexedLetter extends DeadLetterSummary {
  /** Its content stands in here; undefined: there was no room for it. */
  slab: Buffer | undefined;
  start: number;
  end: number;
}

export interface DeadLetterIndexOptions {
  /** Of an earlier scan of the same consumer. */
  before?: DeadLetterIndex | undefined;
  /** Letters that come later are added to this index; one alone is read fast where it is, so that no contents are kept. */
  inPlace: boolean;
}

/**
 * What scans have found, so that lists need no scan of their own. It holds what a list shows of each letter, some 250 bytes,
 * and the contents of the oldest, within bounds. What is the same in two scans is in memory once.
 */
export class DeadLetterIndex {
  private readonly letters = new Map<string, IndexedLetter>();
  private contentBytes = 0;
  private messageLength = 0;
  private slab: Buffer = Buffer.alloc(0);
  private used = 0;

  private readonly texts = new Map<string, string>();
  private hasEnded = false;

  private before: DeadLetterIndex | undefined;
  private readonly inPlace: boolean;
  private lastAdded: string | undefined;

  constructor({ before, inPlace }: DeadLetterIndexOptions) {
    this.before = before;
    this.inPlace = inPlace;
  }

  get size(): number {
    return this.letters.size;
  }

  /** The one that came last, also if it is gone since. */
  get last(): string | undefined {
    return this.lastAdded;
  }

  has(id: string): boolean {
    return this.letters.has(id);
  }

  ids(): Iterable<string> {
    return this.letters.keys();
  }

  /** @returns what is kept of it */
  add(letter: DeadLetterRecord): DeadLetterSummary {
    const known = this.before?.letters.get(letter.id);
    const indexed = known ?? this.keep(summarize(letter));
    if (known) this.contentBytes += known.end - known.start;
    else if (!this.inPlace) this.keepContent(indexed, letter.content);
    if (this.messageLength + indexed.message.length > MAX_MESSAGE_LENGTH)
      indexed.message = indexed.message.slice(0, SHORT_MESSAGE_LENGTH);
    this.messageLength += indexed.message.length;
    this.letters.set(letter.id, indexed);
    this.lastAdded = letter.id;
    return indexed;
  }

  /** Some were added that belong before others. @param ids in their order: all from the first of those on */
  reorder(ids: readonly string[]): void {
    for (const id of ids) {
      const letter = this.letters.get(id);
      if (!letter) continue;
      this.letters.delete(id);
      this.letters.set(id, letter);
      this.lastAdded = id;
    }
  }

  /** All letters are here: what the earlier scan alone had is forgotten. */
  end(): void {
    this.hasEnded = true;
    this.before = undefined;
    if (!this.inPlace) this.texts.clear();
  }

  /** It was replayed or dropped. @returns what was kept of it */
  remove(id: string): DeadLetterSummary | undefined {
    const indexed = this.letters.get(id);
    this.letters.delete(id);
    if (indexed) this.messageLength -= indexed.message.length;
    return indexed;
  }

  /** Whether a page of so many matches can be had of what there is so far. */
  fills(filter: DeadLetterFilter, limit: number, after?: string): boolean {
    return this.list(filter, limit, after).letters.length >= limit;
  }

  list(
    filter: DeadLetterFilter,
    limit: number,
    after?: string,
  ): { letters: DeadLetter[]; matching: number; next: string | undefined } {
    const letters: DeadLetter[] = [];
    let matching = 0;
    // From the oldest one on, if the letter before is no longer there.
    let hasBegun = after === undefined || (this.hasEnded && !this.letters.has(after));
    for (const letter of this.letters.values()) {
      if (!hasBegun) hasBegun = letter.id === after;
      else if (matchesFilter(letter, filter)) {
        matching += 1;
        if (letters.length < limit) letters.push(toDeadLetter(letter));
      }
    }
    return { letters, matching, next: matching > limit ? letters.at(-1)?.id : undefined };
  }

  *matching(filter: DeadLetterFilter): Generator<DeadLetterSummary> {
    for (const letter of this.letters.values()) if (matchesFilter(letter, filter)) yield letter;
  }

  /** Undefined: it is not here, or its content is not. */
  show(id: string): DeadLetterDetail | undefined {
    const letter = this.letters.get(id);
    if (!letter?.slab) return undefined;
    return toDeadLetterDetail(letter, letter.slab.subarray(letter.start, letter.end));
  }

  private keep(letter: DeadLetterSummary): IndexedLetter {
    const { code, message, memberId, event } = letter;
    // Field by field: copied by a spread, an object takes three times as much.
    return {
      id: letter.id,
      consumer: letter.consumer,
      code: this.once(code),
      message: this.once(message),
      attempts: letter.attempts,
      firstFailedAt: letter.firstFailedAt,
      lastFailedAt: letter.lastFailedAt,
      memberId: memberId && this.once(memberId),
      event: event && this.once(event),
      entity: letter.entity,
      receivedAt: letter.receivedAt,
      slab: undefined,
      start: 0,
      end: 0,
    };
  }

  /** The same text, once in memory. */
  private once(text: string): string {
    const known = this.texts.get(text);
    if (known !== undefined) return known;
    if (this.texts.size < MAX_TEXTS) this.texts.set(text, text);
    return text;
  }

  private keepContent(letter: IndexedLetter, content: Buffer): void {
    if (this.contentBytes + content.length > MAX_CONTENT_BYTES) return;
    if (this.used + content.length > this.slab.length) {
      // One Buffer for each content would take as much as most contents do.
      this.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, content.length));
      this.used = 0;
    }
    content.copy(this.slab, this.used);
    [letter.slab, letter.start, letter.end] = [this.slab, this.used, this.used + content.length];
    this.used = letter.end;
    this.contentBytes += content.length;
  }
}
