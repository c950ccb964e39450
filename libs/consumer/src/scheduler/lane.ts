import { carriesMoreThanKey, type FormTree, type PortalEvent } from '@relay/bus';
import type { LaneTotals } from './lane-totals.js';
import {
  addToEntry,
  bytesOf,
  dropLostReceipts,
  isLost,
  type LaneReceipt,
  mergeEntries,
  newEntry,
  type PendingEntry,
} from './pending-entry.js';

export interface LaneRules {
  /** Pending events of one entity become one entry. */
  readonly merge: boolean;
  /** Maximum entries of one batch. */
  readonly maxEntries: number;
}

export interface LaneWork {
  /** Milliseconds until the lane is empty. */
  readonly ms: number;
  readonly msPerEvent: number;
}

export interface LaneBatch<H, R> {
  readonly memberId: string;
  readonly handler: H;
  readonly entries: PendingEntry<R>[];
}

/**
 * Bytes of event data, and of large messages, that one lane keeps, waiting or in flight: a portal may send events of
 * 256 kB, as many as it likes.
 */
const MAX_LANE_BYTES = 8 * 1024 * 1024;
/** With so much data a batch need not wait for more. */
const MUCH_DATA_BYTES = MAX_LANE_BYTES / 2;
/** That all lanes keep: portals may be many, and some of them one person's. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A lane with no more has room however much the others keep. */
const SMALL_LANE_BYTES = 16 * 1024;
/** Keys that a lane remembers of its batches: four of the largest, about a megabyte. */
const MAX_TAKEN_KEYS = 10_000;
/**
 * So long after it was received an event no longer waits behind others, nor does one that came so long after the batch of
 * its entity began: it may be a change of its own.
 */
const MAX_REPEAT_AGE_MS = 120_000;
/** An event that came just in time may wait as long again. A lane that is never empty would else keep keys for ever. */
const TAKEN_TTL_MS = 2 * MAX_REPEAT_AGE_MS;

/**
 * The per-portal queue of a consumer process: pending work of one portal. An event is merged only into an entry that
 * waits, never into one in flight: the read of that one may be older than the event.
 */
export class Lane<H extends LaneRules, R extends LaneReceipt> {
  /** By handler, in round-robin order; within one, entries in order of arrival. */
  private readonly pending = new Map<H, PendingEntries<R>>();
  /** Each counted although merged. */
  private waitingEvents = 0;
  /** Of the batch that was taken last, until it is handled. */
  private inFlight:
    { events: number; oldestAt: number; bytes: number; takenAt: number; isLarge: boolean } | undefined;
  /** Of the last large batch; 0 before. */
  private lastMsPerEvent = 0;
  /** Of waiting entries. */
  private waitingBytes = 0;
  private unmerged = 0;
  /** When entries were taken since the lane was empty, by their keys, the latest last. */
  private readonly taken = new Map<string, number>();

  constructor(
    readonly memberId: string,
    /** Shared by all lanes. */
    private readonly totals: LaneTotals,
  ) {}

  /** Waiting events, each counted although merged. */
  get size(): number {
    return this.waitingEvents;
  }

  /** Events that wait or are in flight. */
  get unsettled(): number {
    return this.waitingEvents + (this.inFlight?.events ?? 0);
  }

  /** Waiting entries. */
  get entries(): number {
    let count = 0;
    for (const pending of this.pending.values()) count += pending.size;
    return count;
  }

  get isEmpty(): boolean {
    return this.pending.size === 0;
  }

  /** What the lane has work for, judged by its last large batch, else by the one in flight; nothing where it had none. */
  get work(): LaneWork {
    const { events = 0, takenAt = 0, isLarge = false } = this.inFlight ?? {};
    const elapsedMs = isLarge ? performance.now() - takenAt : 0;
    // The first one in flight is likely to take as long again as it has taken.
    const expectedMs = this.lastMsPerEvent > 0 ? this.lastMsPerEvent * events : 2 * elapsedMs;
    const batchMs = Math.max(expectedMs, elapsedMs);
    const msPerEvent = isLarge ? batchMs / events : this.lastMsPerEvent;
    return { msPerEvent, ms: this.waitingEvents * msPerEvent + batchMs - elapsedMs };
  }

  /** Its next batch would not get anything better, or has much data already. */
  get isFull(): boolean {
    if (this.waitingBytes > MUCH_DATA_BYTES) return true;
    for (const [handler, { freshSize }] of this.pending) if (freshSize >= handler.maxEntries) return true;
    return false;
  }

  /** Entries wait whose entity was in no batch yet. */
  get hasFresh(): boolean {
    for (const { freshSize } of this.pending.values()) if (freshSize > 0) return true;
    return false;
  }

  /** Entries wait that give their places to others (`takeRepeat`). */
  get hasRepeats(): boolean {
    for (const { size, freshSize } of this.pending.values()) if (size > freshSize) return true;
    return false;
  }

  /** Entries wait for this handler. */
  hasWork(handler: H): boolean {
    return (this.pending.get(handler)?.size ?? 0) > 0;
  }

  /** Entries that wait for this handler and whose entity was in no batch yet. */
  freshWork(handler: H): number {
    return this.pending.get(handler)?.freshSize ?? 0;
  }

  /** Something waits that never becomes one with what comes later: it gains nothing by waiting. */
  get hasUnmergeable(): boolean {
    for (const { merge } of this.pending.keys()) if (!merge) return true;
    return false;
  }

  /** Some waiting messages were delivered to a process before, and may have crashed it. */
  get isSuspect(): boolean {
    for (const { receipts } of this.waiting()) {
      if (receipts.some(({ lost, deliveryCount }) => !lost && deliveryCount > 0)) return true;
    }
    return false;
  }

  /** Whether the event's entity was in a batch just now, and the lane not empty since: it waits behind those that were not. */
  isRepeat({ merge }: H, { entity, receivedAt }: PortalEvent, now = Date.now()): boolean {
    if (!merge || entity === null || receivedAt <= now - MAX_REPEAT_AGE_MS) return false;
    const takenAt = this.taken.get(entity);
    return takenAt !== undefined && receivedAt < takenAt + MAX_REPEAT_AGE_MS;
  }

  /** @returns false when there is no room for the event's data: then the lane is unchanged */
  add(handler: H, event: PortalEvent, receipt: R): boolean {
    const entity = handler.merge ? event.entity : null;
    const hasData = entity === null || carriesMoreThanKey(event.data, event.entityTypeId);
    const dataBytes = hasData ? sizeOf(event.data) : 0;
    const pending = this.pending.get(handler) ?? new PendingEntries<R>();
    const key = entity ?? `#${this.unmerged++}`;
    const entry = pending.get(key);
    const replacedBytes = dataBytes > 0 ? (entry?.dataBytes ?? 0) : 0;
    const bytes = dataBytes + (receipt.heldBytes ?? 0);
    if (bytes > 0 && !this.hasRoomFor(bytes, replacedBytes)) return false;
    this.pending.set(handler, pending);
    if (entry) {
      const { firstSeenAt } = entry.view;
      this.countBytes(-bytesOf(entry));
      addToEntry(entry, event, receipt, dataBytes);
      if (pending.isRepeat(key) && !this.isRepeat(handler, event)) pending.moveToFresh(key, entry);
      this.countBytes(bytesOf(entry));
      if (entry.view.firstSeenAt !== firstSeenAt) {
        this.totals.removeTime(firstSeenAt);
        this.totals.addTime(entry.view.firstSeenAt);
      }
    } else {
      pending.add(key, newEntry(key, event, receipt, dataBytes), this.isRepeat(handler, event));
      this.countBytes(bytes);
      this.totals.addTime(event.receivedAt);
    }
    this.waitingEvents += 1;
    this.totals.events += 1;
    return true;
  }

  /**
   * A lane may keep as much as is free beside all lanes: however many portals take what they can get, another one finds
   * as much. One event has room, however large, where nothing else is kept.
   */
  private hasRoomFor(bytes: number, replacedBytes: number): boolean {
    const own = this.waitingBytes + (this.inFlight?.bytes ?? 0) - replacedBytes;
    const all = this.totals.bytes - replacedBytes;
    if (own + bytes <= SMALL_LANE_BYTES || all === 0) return true;
    const freeBytes = MAX_BYTES - all;
    return own === 0 ? bytes <= freeBytes : own + bytes <= Math.min(MAX_LANE_BYTES, freeBytes);
  }

  private countBytes(bytes: number): void {
    this.waitingBytes += bytes;
    this.totals.bytes += bytes;
  }

  /**
   * The next batch, of the handler that is next in turn; undefined when everything waiting has returned to the bus.
   * @param limitFor maximum entries of the batch
   */
  take(limitFor: (handler: H) => number = ({ maxEntries }) => maxEntries): LaneBatch<H, R> | undefined {
    const now = Date.now();
    for (const [handler, pending] of this.pending) {
      this.pending.delete(handler);
      const limit = limitFor(handler);
      const entries: PendingEntry<R>[] = [];
      let bytes = 0;
      pending.promote(now - MAX_REPEAT_AGE_MS);
      for (const [key, entry] of pending.inOrder()) {
        if (entries.length >= limit) break;
        pending.delete(key);
        this.countOut(entry);
        if (isLost(entry)) continue;
        entries.push(entry);
        if (handler.merge) this.rememberTaken(key, now);
        bytes += bytesOf(entry);
      }
      // Behind the other handlers of this portal, so that a flood for one does not starve them.
      if (pending.size > 0) this.pending.set(handler, pending);
      if (entries.length === 0) continue;
      this.handled();
      this.inFlight = {
        events: entries.reduce((sum, { receipts }) => sum + receipts.length, 0),
        oldestAt: Math.min(...entries.map(({ view }) => view.firstSeenAt)),
        bytes,
        takenAt: performance.now(),
        isLarge: entries.length >= handler.maxEntries / 2 || bytes > MUCH_DATA_BYTES,
      };
      this.totals.events += this.inFlight.events;
      this.totals.bytes += bytes;
      this.totals.addTime(this.inFlight.oldestAt);
      return { memberId: this.memberId, handler, entries };
    }
    return undefined;
  }

  private rememberTaken(key: string, now: number): void {
    this.taken.delete(key);
    this.taken.set(key, now);
    for (const [oldest, takenAt] of this.taken) {
      if (this.taken.size <= MAX_TAKEN_KEYS && takenAt > now - TAKEN_TTL_MS) return;
      this.taken.delete(oldest);
    }
  }

  /** Its events come back because they failed: they are no repeats. */
  forget(key: string): void {
    this.taken.delete(key);
  }

  /** Removes and returns the repeat that came first, to make room. */
  takeRepeat(): PendingEntry<R> | undefined {
    for (const [handler, pending] of this.pending) {
      const entry = pending.takeRepeat();
      if (!entry) continue;
      this.countOut(entry);
      if (pending.size === 0) this.pending.delete(handler);
      return entry;
    }
    return undefined;
  }

  /** The batch taken last is no longer in flight: settled, or put back. */
  handled(): void {
    if (!this.inFlight) return;
    if (this.inFlight.isLarge)
      this.lastMsPerEvent = (performance.now() - this.inFlight.takenAt) / this.inFlight.events;
    this.totals.events -= this.inFlight.events;
    this.totals.bytes -= this.inFlight.bytes;
    this.totals.removeTime(this.inFlight.oldestAt);
    this.inFlight = undefined;
  }

  /** Puts entries of a batch back: before everything that arrived since, and merged with it. */
  putBack(handler: H, entries: readonly PendingEntry<R>[]): void {
    this.handled();
    const pending = this.pending.get(handler) ?? new PendingEntries<R>();
    const first = new Map<string, PendingEntry<R>>();
    for (const entry of entries) {
      const later = pending.get(entry.key);
      pending.delete(entry.key);
      if (later) this.countOut(later);
      const whole = later ? mergeEntries(entry, later) : entry;
      this.countIn(whole);
      first.set(entry.key, whole);
    }
    pending.addFirst(first);
    if (pending.size > 0) this.pending.set(handler, pending);
  }

  /** Removes and returns everything that waits. */
  empty(): PendingEntry<R>[] {
    const entries = [...this.waiting()];
    for (const entry of entries) this.countOut(entry);
    this.pending.clear();
    return entries;
  }

  /**
   * Drops messages that have returned to the bus and will be redelivered. Called for each event that finds the lane
   * full, so it scans all of them only when the oldest has returned.
   */
  dropLost(): void {
    const oldest = [...this.pending.values()].flatMap((pending) => [...pending.oldest()]);
    if (!oldest.some(({ receipts }) => receipts[0]?.lost)) return;
    for (const [handler, pending] of this.pending) {
      for (const [key, entry] of pending.inOrder()) {
        this.countOut(entry);
        dropLostReceipts(entry);
        if (entry.receipts.length === 0) pending.delete(key);
        else this.countIn(entry);
      }
      if (pending.size === 0) this.pending.delete(handler);
    }
  }

  private countIn(entry: PendingEntry<R>): void {
    const { receipts, view } = entry;
    this.countBytes(bytesOf(entry));
    this.waitingEvents += receipts.length;
    this.totals.events += receipts.length;
    this.totals.addTime(view.firstSeenAt);
  }

  private countOut(entry: PendingEntry<R>): void {
    const { receipts, view } = entry;
    this.countBytes(-bytesOf(entry));
    this.waitingEvents -= receipts.length;
    this.totals.events -= receipts.length;
    this.totals.removeTime(view.firstSeenAt);
  }

  /** Entries that wait, each handler's in order of arrival. */
  *waiting(): Iterable<PendingEntry<R>> {
    for (const pending of this.pending.values()) for (const [, entry] of pending.inOrder()) yield entry;
  }
}

/**
 * What waits for one handler, in order of arrival. `repeats` are taken after `fresh`: their entities were in a batch since the
 * lane was last empty, so most of them are what the handler's own writes have caused, and find nothing to do.
 */
class PendingEntries<R> {
  private fresh = new Map<string, PendingEntry<R>>();
  private readonly repeats = new Map<string, PendingEntry<R>>();

  get size(): number {
    return this.fresh.size + this.repeats.size;
  }

  get freshSize(): number {
    return this.fresh.size;
  }

  get(key: string): PendingEntry<R> | undefined {
    return this.fresh.get(key) ?? this.repeats.get(key);
  }

  add(key: string, entry: PendingEntry<R>, isRepeat: boolean): void {
    (isRepeat ? this.repeats : this.fresh).set(key, entry);
  }

  isRepeat(key: string): boolean {
    return this.repeats.has(key);
  }

  /** It waits behind nothing any more that comes from now on. */
  moveToFresh(key: string, entry: PendingEntry<R>): void {
    this.repeats.delete(key);
    this.fresh.set(key, entry);
  }

  delete(key: string): void {
    if (!this.fresh.delete(key)) this.repeats.delete(key);
  }

  /** Before all others, in this order. */
  addFirst(entries: ReadonlyMap<string, PendingEntry<R>>): void {
    this.fresh = new Map([...entries, ...this.fresh]);
  }

  /** In the order in which they are taken. */
  *inOrder(): Iterable<[key: string, entry: PendingEntry<R>]> {
    yield* this.fresh;
    yield* this.repeats;
  }

  /** The oldest of `fresh` and of `repeats`. */
  *oldest(): Iterable<PendingEntry<R>> {
    for (const entries of [this.fresh, this.repeats]) {
      const [first] = entries.values();
      if (first) yield first;
    }
  }

  /** Repeats that were received before this time are none any more. */
  promote(receivedBefore: number): void {
    for (const [key, entry] of this.repeats) {
      if (entry.view.firstSeenAt < receivedBefore) this.moveToFresh(key, entry);
    }
  }

  takeRepeat(): PendingEntry<R> | undefined {
    for (const [key, entry] of this.repeats) {
      this.repeats.delete(key);
      return entry;
    }
    return undefined;
  }
}

/** What a tree, a text or a key takes beside its characters, about. */
const NODE_BYTES = 48;

/** V8 keeps the values of keys that are numbers in an array up to the largest of them, and half as long again, until it is far larger than what it holds. */
const BYTES_PER_INDEX = 12;
/** Beyond it such an array is a table of what it holds. */
const MAX_INDEX = 5_000;

/** Memory that the data take, at most: a character of a text beyond Latin-1 takes two bytes. */
function sizeOf(tree: FormTree): number {
  let bytes = NODE_BYTES;
  let largestIndex = 0;
  for (const key in tree) {
    const value = tree[key];
    bytes += NODE_BYTES + 2 * key.length;
    if (/^\d{1,4}$/.test(key)) largestIndex = Math.max(largestIndex, Number(key));
    if (value !== undefined) bytes += typeof value === 'string' ? 2 * value.length : sizeOf(value);
  }
  return bytes + BYTES_PER_INDEX * Math.min(largestIndex, MAX_INDEX);
}
