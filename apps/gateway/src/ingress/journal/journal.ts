import { decodeMessage, encodeMessage, isOfNewerVersion, type PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';
import { openFreeSlot, type Slot } from './slot.js';

export interface JournalLimits {
  /** Maximum total size of the messages, in bytes. */
  maxBytes: number;
  /** While the oldest event is older than this, no event is accepted. */
  maxAgeMs: number;
}

export interface Entry {
  key: string;
  event: PortalEvent;
  /** Size of its message. */
  bytes: number;
}

type Stored = Pick<Entry, 'key' | 'bytes'>;

interface Waiting {
  key: string;
  content: Buffer;
  complete: (error?: JournalError) => void;
}

type JournalErrorCode = 'JOURNAL_FULL' | 'JOURNAL_UNWRITABLE' | 'JOURNAL_CLOSED';

const REASONS: Record<JournalErrorCode, string> = {
  JOURNAL_FULL: 'it is at its limit of size or age',
  JOURNAL_UNWRITABLE: 'the disk rejects writes',
  JOURNAL_CLOSED: 'it is closed',
};

/** The event is not in the journal. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  constructor(
    readonly code: JournalErrorCode,
    options?: { cause?: unknown },
  ) {
    super(`The journal is not available: ${REASONS[code]}`, options);
  }
}

/** One synced write takes as long for many events as for one; a larger group only delays the first ones. */
const GROUP_SIZE = 256;
/**
 * Key prefix of quarantined events, which this version cannot read; sorts after every time. Every open of the slot
 * tries them again: as a rule a newer version wrote them, and the next upgrade recovers them.
 */
const QUARANTINE_PREFIX = 'x';
const QUARANTINE_RANGE = { gt: QUARANTINE_PREFIX, lt: 'y' };
/** Maximum events moved in one write. */
const RECOVER_GROUP_SIZE = 200;

/** Quarantined events, which are not handed out. */
interface Quarantined {
  /** They wait for the next upgrade. */
  newer: number;
  /** No version can read them; they stay for an operator. */
  unreadable: number;
  bytes: number;
}

/**
 * Events that the bus did not accept, on the local disk: `append` resolves when the event is synced. After a crash at
 * any byte, it holds everything that `append` has resolved for. It rejects new events rather than dropping old ones,
 * which were already answered with 200.
 */
export class Journal {
  private waiting: Waiting[] = [];
  private committing: Promise<void> | undefined;
  /** Ends when no write is in progress. */
  private lastWrite: Promise<void> = Promise.resolve();
  private sequence = 0;
  /** Time of the last key: keys ascend even if the clock goes back, so that no event overwrites another. */
  private lastTime = 0;
  /** No event has a lower key. Without it, every read would scan the tombstones of all deleted keys again. */
  private firstKey = '';
  /** Not to be handed out again, although the disk has not deleted them yet. */
  private readonly removed = new Map<string, number>();
  private isClosed = false;
  private isBroken = false;
  private eventCount = 0;
  private byteCount = 0;
  private oldestTime: number | undefined;
  private quarantined: Quarantined = { newer: 0, unreadable: 0, bytes: 0 };

  private constructor(
    private readonly slot: Slot,
    readonly number: number,
    private readonly limits: JournalLimits,
    private readonly log: Log,
  ) {}

  /** Opens the first free slot of the folder, with the events that a previous process left there. */
  static async open(folder: string, limits: JournalLimits, log: Log): Promise<Journal> {
    return openFreeSlot(folder, log, (slot, number) => Journal.over(slot, number, limits, log));
  }

  /** @throws the LevelDB error of a slot that it cannot read; the slot is closed then */
  static async over(slot: Slot, number: number, limits: JournalLimits, log: Log): Promise<Journal> {
    const journal = new Journal(slot, number, limits, log);
    try {
      await journal.recount();
      return journal;
    } catch (error) {
      await slot.close();
      throw error;
    }
  }

  /** Number of events. */
  get size(): number {
    return this.eventCount;
  }

  /** Total size of their messages. */
  get bytes(): number {
    return this.byteCount;
  }

  /** Events of a newer version, not counted in `size`: handed out once a process that can read them opens the slot. */
  get newer(): number {
    return this.quarantined.newer;
  }

  /** Events that no version can read, not counted in `size`. */
  get unreadable(): number {
    return this.quarantined.unreadable;
  }

  /** Unix time in milliseconds; undefined when it is empty. */
  get oldestAt(): number | undefined {
    return this.oldestTime;
  }

  /** Whether `append` would probably accept an event. */
  isOpen(): boolean {
    return !this.isClosed && !this.isBroken && !this.isFull(0);
  }

  /** After a failed write: checks whether the disk accepts writes again. @throws the disk's error if it does not */
  async probeDisk(): Promise<void> {
    if (this.isBroken && !this.isClosed)
      await this.serialize(() => this.slot.del(QUARANTINE_PREFIX, { sync: true }));
  }

  /** @throws JournalError; the event is then not stored */
  append(event: PortalEvent): Promise<void> {
    const content = encodeMessage(event);
    if (this.isClosed) return Promise.reject(new JournalError('JOURNAL_CLOSED'));
    if (this.isFull(content.length)) return Promise.reject(new JournalError('JOURNAL_FULL'));
    this.lastTime = Math.max(this.lastTime, Date.now());
    const time = String(this.lastTime).padStart(TIME_DIGITS, '0');
    const key = `${time}-${String(++this.sequence).padStart(12, '0')}`;
    return new Promise((resolve, reject) => {
      const complete = (error?: JournalError): void => (error ? reject(error) : resolve());
      this.waiting.push({ key, content, complete });
      this.committing ??= this.commit();
    });
  }

  /**
   * The oldest events, or the oldest after a key; events that this version cannot read are quarantined and logged.
   * @param behind the key
   * @throws while the disk rejects earlier removals: those events would be handed out again
   */
  async oldest(limit: number, behind?: string): Promise<Entry[]> {
    if (this.removed.size > 0) await this.remove([]);
    const entries: Entry[] = [];
    const unread: { key: string; content: Buffer; error: unknown }[] = [];
    const range = behind === undefined ? this.range() : { gt: behind, lt: QUARANTINE_PREFIX };
    for await (const [key, content] of this.slot.iterator({ ...range, limit })) {
      try {
        entries.push({ key, event: decodeMessage(content), bytes: content.length });
      } catch (error) {
        unread.push({ key, content, error });
      }
    }
    if (unread.length > 0) await this.quarantine(unread);
    return entries;
  }

  /**
   * Not synced: after a power failure the events are published again, which does no harm.
   * @throws when the disk rejects it; the next call removes them too
   */
  async remove(entries: readonly Stored[]): Promise<void> {
    for (const { key, bytes } of entries) this.removed.set(key, bytes);
    await this.serialize(async () => {
      const removed = [...this.removed];
      await this.slot.batch(removed.map(([key]) => ({ type: 'del', key })));
      for (const [key, bytes] of removed) {
        this.removed.delete(key);
        this.eventCount -= 1;
        this.byteCount -= bytes;
      }
      const [first] = await this.slot.keys({ ...this.range(), limit: 1 }).all();
      this.firstKey = first ?? this.firstKey;
      this.oldestTime = first === undefined ? undefined : timeOf(first);
    });
  }

  /** Finishes pending writes; later ones are rejected. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.committing;
    await this.lastWrite;
    await this.slot.close();
  }

  private range(): { gte: string; lt: string } {
    return { gte: this.firstKey, lt: QUARANTINE_PREFIX };
  }

  private isFull(more: number): boolean {
    const isTooOld = this.oldestTime !== undefined && Date.now() - this.oldestTime > this.limits.maxAgeMs;
    return isTooOld || this.byteCount + this.quarantined.bytes + more > this.limits.maxBytes;
  }

  private async quarantine(
    unread: readonly { key: string; content: Buffer; error: unknown }[],
  ): Promise<void> {
    for (const { key, error } of unread) {
      if (!isOfNewerVersion(error))
        this.log.error(
          { event: 'journal.event.unreadable', err: error, key },
          'an event of the journal cannot be read; it is quarantined there',
        );
    }
    const puts = unread.map(({ key, content }) => ({
      type: 'put' as const,
      key: QUARANTINE_PREFIX + key,
      value: content,
    }));
    await this.serialize(() => this.slot.batch(puts, { sync: true }));
    for (const { content, error } of unread) this.countQuarantined(error, content.length);
    await this.remove(unread.map(({ key, content }) => ({ key, bytes: content.length })));
    const newer = unread.filter(({ error }) => isOfNewerVersion(error)).length;
    if (newer > 0)
      this.log.warn(
        { event: 'journal.events.newer', events: newer, slot: this.number },
        'events of a newer version wait for the upgrade',
      );
  }

  private countQuarantined(error: unknown, bytes: number): void {
    if (isOfNewerVersion(error)) this.quarantined.newer += 1;
    else this.quarantined.unreadable += 1;
    this.quarantined.bytes += bytes;
  }

  /** Moves quarantined events that this version can read back into the queue; counts the rest. */
  private async recoverQuarantined(): Promise<void> {
    this.quarantined = { newer: 0, unreadable: 0, bytes: 0 };
    let readable: { key: string; content: Buffer }[] = [];
    let recovered = 0;
    const putBack = async (): Promise<void> => {
      // Atomic, even on a power failure.
      await this.slot.batch(
        readable.flatMap(({ key, content }) => [
          { type: 'put' as const, key: key.slice(QUARANTINE_PREFIX.length), value: content },
          { type: 'del' as const, key },
        ]),
      );
      recovered += readable.length;
      readable = [];
    };
    for await (const [key, content] of this.slot.iterator(QUARANTINE_RANGE)) {
      this.lastTime = Math.max(this.lastTime, timeOf(key.slice(QUARANTINE_PREFIX.length)) + 1);
      try {
        decodeMessage(content);
        readable.push({ key, content });
      } catch (error) {
        this.countQuarantined(error, content.length);
      }
      if (readable.length >= RECOVER_GROUP_SIZE) await putBack();
    }
    if (readable.length > 0) await putBack();
    const { newer, unreadable } = this.quarantined;
    if (recovered > 0)
      this.log.info(
        { events: recovered, slot: this.number },
        'quarantined events can be read now and are drained',
      );
    if (newer > 0)
      this.log.warn(
        { event: 'journal.events.newer', events: newer, slot: this.number },
        'events of a newer version wait for the upgrade',
      );
    if (unreadable > 0)
      this.log.error(
        { event: 'journal.events.unreadable', events: unreadable, slot: this.number },
        'the journal holds events that no version can read',
      );
  }

  private countIn(key: string, bytes: number): void {
    this.eventCount += 1;
    this.byteCount += bytes;
    this.oldestTime ??= timeOf(key);
  }

  /** Group commit: events that arrive during a synced write go into the next one. */
  private async commit(): Promise<void> {
    // Runs after everything that arrived together.
    await Promise.resolve();
    while (this.waiting.length > 0) {
      const group = this.waiting.splice(0, GROUP_SIZE);
      try {
        await this.serialize(async () => {
          const puts = group.map(({ key, content }) => ({ type: 'put' as const, key, value: content }));
          await this.slot.batch(puts, { sync: true });
          for (const { key, content } of group) this.countIn(key, content.length);
        });
        for (const { complete } of group) complete();
      } catch (cause) {
        this.log.error({ event: 'journal.unwritable', err: cause }, 'the journal could not be written');
        for (const { complete } of group) complete(new JournalError('JOURNAL_UNWRITABLE', { cause }));
      }
    }
    this.committing = undefined;
  }

  /**
   * Serializes writes, because a failed write leaves bytes at the end of LevelDB's log that make later records
   * unreadable: the next write starts a new log, even when the disk has space again.
   */
  private serialize(write: () => Promise<void>): Promise<void> {
    const written = this.writeAfter(this.lastWrite, write);
    this.lastWrite = written.catch(() => undefined);
    return written;
  }

  private async writeAfter(previous: Promise<void>, write: () => Promise<void>): Promise<void> {
    await previous;
    if (this.isBroken) await this.reopen();
    try {
      await write();
    } catch (error) {
      this.isBroken = true;
      throw error;
    }
  }

  private async reopen(): Promise<void> {
    await this.slot.close();
    await this.slot.open();
    await this.recount();
    this.isBroken = false;
  }

  /**
   * Part of a failed write may be on the disk after all, and while it was closed another process may have drained it.
   */
  private async recount(): Promise<void> {
    await this.recoverQuarantined();
    this.firstKey = '';
    [this.eventCount, this.byteCount, this.oldestTime] = [0, 0, undefined];
    const stillThere = new Set<string>();
    for await (const [key, content] of this.slot.iterator(this.range())) {
      this.countIn(key, content.length);
      this.lastTime = Math.max(this.lastTime, timeOf(key) + 1);
      if (this.removed.has(key)) stillThere.add(key);
    }
    for (const key of this.removed.keys()) if (!stillThere.has(key)) this.removed.delete(key);
  }
}

/** Enough until the year 33658; keys sort by time. */
const TIME_DIGITS = 15;

function timeOf(key: string): number {
  return Number(key.slice(0, TIME_DIGITS));
}
