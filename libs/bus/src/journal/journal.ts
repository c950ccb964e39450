import { decodeMessage, encodeMessage, type PortalEvent } from '@relay/events';
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

interface Waiting {
  key: string;
  content: Buffer;
  settle: (error?: JournalError) => void;
}

/** One synced write takes as long for many as for one; more than this only makes the first ones wait. */
const groupSize = 256;
/** Sorts behind every time: set aside, never taken again. */
const asidePrefix = 'x';

/**
 * Events that the bus would not take, on the local disk: `append` resolves when the event is synced. Ended at any
 * byte, it holds all that `append` has resolved for. It refuses before it drops: what it took was answered with 200.
 */
export class Journal {
  #waiting: Waiting[] = [];
  #committing: Promise<void> | undefined;
  #sequence = 0;
  #closed = false;
  #isBroken = false;
  #size = 0;
  #bytes = 0;
  #oldestAt: number | undefined;

  private constructor(
    private readonly slot: Slot,
    readonly number: number,
    private readonly limits: JournalLimits,
    private readonly log: Log,
  ) {}

  /** Takes the first slot of the folder that is free, with what a predecessor left there. */
  static async open(folder: string, limits: JournalLimits, log: Log): Promise<Journal> {
    const { number, slot } = await openFreeSlot(folder, log);
    return Journal.over(slot, number, limits, log);
  }

  static async over(slot: Slot, number: number, limits: JournalLimits, log: Log): Promise<Journal> {
    const journal = new Journal(slot, number, limits, log);
    for await (const [key, content] of slot.iterator({ lt: asidePrefix })) journal.#note(key, content.length);
    return journal;
  }

  /** Events in it. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of their messages. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Milliseconds since 1970; undefined when it is empty. */
  get oldestAt(): number | undefined {
    return this.#oldestAt;
  }

  /** Whether `append` would be tried. */
  isOpen(): boolean {
    return !this.#closed && !this.#isFull(0);
  }

  /** @throws JournalError; the event is then not kept */
  append(event: PortalEvent): Promise<void> {
    const content = encodeMessage(event);
    if (this.#closed) return Promise.reject(new JournalError('JOURNAL_CLOSED'));
    if (this.#isFull(content.length)) return Promise.reject(new JournalError('JOURNAL_FULL'));
    const key = `${String(Date.now()).padStart(timeDigits, '0')}-${String(++this.#sequence).padStart(12, '0')}`;
    return new Promise((resolve, reject) => {
      const settle = (error?: JournalError): void => (error ? reject(error) : resolve());
      this.#waiting.push({ key, content, settle });
      this.#committing ??= this.#commit();
    });
  }

  /** The oldest events; one that cannot be read is set aside, and is said in the log. */
  async oldest(limit: number): Promise<Entry[]> {
    const entries: Entry[] = [];
    for await (const [key, content] of this.slot.iterator({ lt: asidePrefix, limit })) {
      try {
        entries.push({ key, event: decodeMessage(content), bytes: content.length });
      } catch (error) {
        this.log.error({ err: error, key }, 'an event of the journal cannot be read; it is set aside there');
        await this.slot.put(asidePrefix + key, content, { sync: true });
        await this.remove([{ key, bytes: content.length }]);
      }
    }
    return entries;
  }

  /** Unsynced: after a power cut they are published once more, which does no harm. */
  async remove(entries: readonly Pick<Entry, 'key' | 'bytes'>[]): Promise<void> {
    await this.slot.batch(entries.map(({ key }) => ({ type: 'del', key })));
    this.#size -= entries.length;
    for (const { bytes } of entries) this.#bytes -= bytes;
    const [first] = await this.slot.keys({ lt: asidePrefix, limit: 1 }).all();
    // One that was appended since the look is younger than now.
    if (first !== undefined) this.#oldestAt = timeOf(first);
    else this.#oldestAt = this.#size > 0 ? Date.now() : undefined;
  }

  /** What is under way is written; what comes later is refused. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#committing;
    await this.slot.close();
  }

  #isFull(more: number): boolean {
    const isTooOld = this.#oldestAt !== undefined && Date.now() - this.#oldestAt > this.limits.maxAgeMs;
    return isTooOld || this.#bytes + more > this.limits.maxBytes;
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
      const group = this.#waiting.splice(0, groupSize);
      try {
        if (this.#isBroken) await this.#reopen();
        await this.slot.batch(
          group.map(({ key, content }) => ({ type: 'put', key, value: content })),
          { sync: true },
        );
        for (const { key, content, settle } of group) {
          this.#note(key, content.length);
          settle();
        }
      } catch (cause) {
        this.#isBroken = true;
        this.log.error({ err: cause }, 'the journal could not be written');
        for (const { settle } of group) settle(new JournalError('JOURNAL_UNWRITABLE', { cause }));
      }
    }
    this.#committing = undefined;
  }

  /** After a failed write LevelDB takes no other one until it is opened again, even when the disk has room by then. */
  async #reopen(): Promise<void> {
    await this.slot.close();
    await this.slot.open();
    this.#isBroken = false;
  }
}

/** Enough until the year 33658; keys sort as their times do. */
const timeDigits = 15;

function timeOf(key: string): number {
  return Number(key.slice(0, timeDigits));
}
