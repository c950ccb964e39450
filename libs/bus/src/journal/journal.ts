import { decodeMessage, encodeMessage, isOfNewerVersion, type PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';
import { openFreeSlot, type Slot } from './slot.js';
import { JournalError } from './journal-error.js';

export interface JournalLimits {
  /** What the events may take, bytes of their messages. */
  maxBytes: number;
  /** While the oldest event is older than this, nothing more is taken. */
  maxAgeMs: number;
}

export interface Entry {
  key: string;
  event: PortalEvent;
  /** Of its message. */
  bytes: number;
}

type Stored = Pick<Entry, 'key' | 'bytes'>;

interface Waiting {
  key: string;
  content: Buffer;
  settle: (error?: JournalError) => void;
}

/** One synced write takes as long for many as for one; more than this only makes the first ones wait. */
const GROUP_SIZE = 256;
/**
 * Sorts behind every time: set aside, for this version cannot read it. Whoever opens the slot looks at it once more, for
 * a newer version wrote it, as a rule, and the next upgrade brings it back.
 */
const ASIDE_PREFIX = 'x';
const asideRange = { gt: ASIDE_PREFIX, lt: 'y' };
/** In one write. */
const BRING_BACK_GROUP = 200;

/** Events that are not given out. */
interface Aside {
  /** They wait for the next upgrade. */
  newer: number;
  /** Nobody will ever read them; they stay for a person. */
  unreadable: number;
  bytes: number;
}

/**
 * Events that the bus would not take, on the local disk: `append` resolves when the event is synced. Ended at any
 * byte, it holds all that `append` has resolved for. It refuses before it drops: what it took was answered with 200.
 */
export class Journal {
  #waiting: Waiting[] = [];
  #committing: Promise<void> | undefined;
  /** Ends when no write is under way. */
  #turns: Promise<void> = Promise.resolve();
  #sequence = 0;
  /** Of the youngest key: keys ascend though the clock may go back, lest one takes the place of another. */
  #lastTime = 0;
  /** No event has a lower key. Keys that were deleted below it would cost a look at each, again and again. */
  #firstKey = '';
  /** To be given out no more, though the disk has not let go of them yet. */
  readonly #removed = new Map<string, number>();
  #closed = false;
  #isBroken = false;
  #size = 0;
  #bytes = 0;
  #oldestAt: number | undefined;
  #aside: Aside = { newer: 0, unreadable: 0, bytes: 0 };

  private constructor(
    private readonly slot: Slot,
    readonly number: number,
    private readonly limits: JournalLimits,
    private readonly log: Log,
  ) {}

  /** Takes the first slot of the folder that is free, with what a predecessor left there. */
  static async open(folder: string, limits: JournalLimits, log: Log): Promise<Journal> {
    return openFreeSlot(folder, log, (slot, number) => Journal.over(slot, number, limits, log));
  }

  /** @throws what LevelDB says of a slot that it cannot read, which is closed then */
  static async over(slot: Slot, number: number, limits: JournalLimits, log: Log): Promise<Journal> {
    const journal = new Journal(slot, number, limits, log);
    try {
      await journal.#count();
      return journal;
    } catch (error) {
      await slot.close();
      throw error;
    }
  }

  /** Events in it. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of their messages. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Events of a newer version, beside `size`: they are given out when a process that reads them opens the slot. */
  get newer(): number {
    return this.#aside.newer;
  }

  /** Events that no version reads, beside `size`. */
  get unreadable(): number {
    return this.#aside.unreadable;
  }

  /** Milliseconds since 1970; undefined when it is empty. */
  get oldestAt(): number | undefined {
    return this.#oldestAt;
  }

  /** Whether `append` would probably take an event. */
  isOpen(): boolean {
    return !this.#closed && !this.#isBroken && !this.#isFull(0);
  }

  /** After a write that failed: finds out whether the disk takes writes again. @throws what it says when it does not */
  async mend(): Promise<void> {
    if (this.#isBroken && !this.#closed)
      await this.#inTurn(() => this.slot.del(ASIDE_PREFIX, { sync: true }));
  }

  /** @throws JournalError; the event is then not kept */
  append(event: PortalEvent): Promise<void> {
    const content = encodeMessage(event);
    if (this.#closed) return Promise.reject(new JournalError('JOURNAL_CLOSED'));
    if (this.#isFull(content.length)) return Promise.reject(new JournalError('JOURNAL_FULL'));
    this.#lastTime = Math.max(this.#lastTime, Date.now());
    const time = String(this.#lastTime).padStart(TIME_DIGITS, '0');
    const key = `${time}-${String(++this.#sequence).padStart(12, '0')}`;
    return new Promise((resolve, reject) => {
      const settle = (error?: JournalError): void => (error ? reject(error) : resolve());
      this.#waiting.push({ key, content, settle });
      this.#committing ??= this.#commit();
    });
  }

  /**
   * The oldest events, or those behind one; one that this version cannot read is set aside, and is said in the log.
   * @param behind its key
   * @throws while the disk does not take what was removed before: it would be given out again
   */
  async oldest(limit: number, behind?: string): Promise<Entry[]> {
    if (this.#removed.size > 0) await this.remove([]);
    const entries: Entry[] = [];
    const unread: { key: string; content: Buffer; error: unknown }[] = [];
    const range = behind === undefined ? this.#range() : { gt: behind, lt: ASIDE_PREFIX };
    for await (const [key, content] of this.slot.iterator({ ...range, limit })) {
      try {
        entries.push({ key, event: decodeMessage(content), bytes: content.length });
      } catch (error) {
        unread.push({ key, content, error });
      }
    }
    if (unread.length > 0) await this.#setAside(unread);
    return entries;
  }

  /**
   * Unsynced: after a power cut they are published once more, which does no harm.
   * @throws when the disk does not take it; the next call makes up for that
   */
  async remove(entries: readonly Stored[]): Promise<void> {
    for (const { key, bytes } of entries) this.#removed.set(key, bytes);
    await this.#inTurn(async () => {
      const removed = [...this.#removed];
      await this.slot.batch(removed.map(([key]) => ({ type: 'del', key })));
      for (const [key, bytes] of removed) {
        this.#removed.delete(key);
        this.#size -= 1;
        this.#bytes -= bytes;
      }
      const [first] = await this.slot.keys({ ...this.#range(), limit: 1 }).all();
      this.#firstKey = first ?? this.#firstKey;
      this.#oldestAt = first === undefined ? undefined : timeOf(first);
    });
  }

  /** What is under way is written; what comes later is refused. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#committing;
    await this.#turns;
    await this.slot.close();
  }

  #range(): { gte: string; lt: string } {
    return { gte: this.#firstKey, lt: ASIDE_PREFIX };
  }

  #isFull(more: number): boolean {
    const isTooOld = this.#oldestAt !== undefined && Date.now() - this.#oldestAt > this.limits.maxAgeMs;
    return isTooOld || this.#bytes + this.#aside.bytes + more > this.limits.maxBytes;
  }

  async #setAside(unread: readonly { key: string; content: Buffer; error: unknown }[]): Promise<void> {
    for (const { key, error } of unread) {
      if (!isOfNewerVersion(error))
        this.log.error({ err: error, key }, 'an event of the journal cannot be read; it is set aside there');
    }
    const puts = unread.map(({ key, content }) => ({
      type: 'put' as const,
      key: ASIDE_PREFIX + key,
      value: content,
    }));
    await this.#inTurn(() => this.slot.batch(puts, { sync: true }));
    for (const { content, error } of unread) this.#noteAside(error, content.length);
    await this.remove(unread.map(({ key, content }) => ({ key, bytes: content.length })));
    const newer = unread.filter(({ error }) => isOfNewerVersion(error)).length;
    if (newer > 0)
      this.log.warn({ events: newer, slot: this.number }, 'events of a newer version wait for the upgrade');
  }

  #noteAside(error: unknown, bytes: number): void {
    if (isOfNewerVersion(error)) this.#aside.newer += 1;
    else this.#aside.unreadable += 1;
    this.#aside.bytes += bytes;
  }

  /** Of what was set aside, what this version reads goes to its place again; the rest is counted. */
  async #bringBack(): Promise<void> {
    this.#aside = { newer: 0, unreadable: 0, bytes: 0 };
    let readable: { key: string; content: Buffer }[] = [];
    let broughtBack = 0;
    const putBack = async (): Promise<void> => {
      // Both or neither, though the power goes.
      await this.slot.batch(
        readable.flatMap(({ key, content }) => [
          { type: 'put' as const, key: key.slice(ASIDE_PREFIX.length), value: content },
          { type: 'del' as const, key },
        ]),
      );
      broughtBack += readable.length;
      readable = [];
    };
    for await (const [key, content] of this.slot.iterator(asideRange)) {
      this.#lastTime = Math.max(this.#lastTime, timeOf(key.slice(ASIDE_PREFIX.length)) + 1);
      try {
        decodeMessage(content);
        readable.push({ key, content });
      } catch (error) {
        this.#noteAside(error, content.length);
      }
      if (readable.length >= BRING_BACK_GROUP) await putBack();
    }
    if (readable.length > 0) await putBack();
    const { newer, unreadable } = this.#aside;
    if (broughtBack > 0)
      this.log.info(
        { events: broughtBack, slot: this.number },
        'events that had been set aside can be read now',
      );
    if (newer > 0)
      this.log.warn({ events: newer, slot: this.number }, 'events of a newer version wait for the upgrade');
    if (unreadable > 0)
      this.log.error(
        { events: unreadable, slot: this.number },
        'the journal holds events that nobody can read',
      );
  }

  #note(key: string, bytes: number): void {
    this.#size += 1;
    this.#bytes += bytes;
    this.#oldestAt ??= timeOf(key);
  }

  /** Group commit: what came while one write was synced goes into the next. */
  async #commit(): Promise<void> {
    // After what has arrived together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, GROUP_SIZE);
      try {
        await this.#inTurn(async () => {
          const puts = group.map(({ key, content }) => ({ type: 'put' as const, key, value: content }));
          await this.slot.batch(puts, { sync: true });
          for (const { key, content } of group) this.#note(key, content.length);
        });
        for (const { settle } of group) settle();
      } catch (cause) {
        this.log.error({ err: cause }, 'the journal could not be written');
        for (const { settle } of group) settle(new JournalError('JOURNAL_UNWRITABLE', { cause }));
      }
    }
    this.#committing = undefined;
  }

  /**
   * One write after the other, for what a failed one left at the end of LevelDB's log makes those after it unreadable:
   * the next one begins a new log, even when the disk has room by then.
   */
  #inTurn(write: () => Promise<void>): Promise<void> {
    const written = this.#writeAfter(this.#turns, write);
    this.#turns = written.catch(() => undefined);
    return written;
  }

  async #writeAfter(turn: Promise<void>, write: () => Promise<void>): Promise<void> {
    await turn;
    if (this.#isBroken) await this.#reopen();
    try {
      await write();
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  async #reopen(): Promise<void> {
    await this.slot.close();
    await this.slot.open();
    await this.#count();
    this.#isBroken = false;
  }

  /** Of a failed write some may be on the disk after all; and while it was closed a sibling may have drained it. */
  async #count(): Promise<void> {
    await this.#bringBack();
    this.#firstKey = '';
    [this.#size, this.#bytes, this.#oldestAt] = [0, 0, undefined];
    const stillThere = new Set<string>();
    for await (const [key, content] of this.slot.iterator(this.#range())) {
      this.#note(key, content.length);
      this.#lastTime = Math.max(this.#lastTime, timeOf(key) + 1);
      if (this.#removed.has(key)) stillThere.add(key);
    }
    for (const key of this.#removed.keys()) if (!stillThere.has(key)) this.#removed.delete(key);
  }
}

/** Enough until the year 33658; keys sort as their times do. */
const TIME_DIGITS = 15;

function timeOf(key: string): number {
  return Number(key.slice(0, TIME_DIGITS));
}
