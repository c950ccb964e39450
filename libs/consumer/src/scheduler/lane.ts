import type { PortalEvent } from '@relay/bus';
import { DeferralPolicy } from './deferral-policy.js';
import {
  addToEntry,
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

export interface LaneBatch<H, R> {
  readonly memberId: string;
  readonly handler: H;
  readonly entries: PendingEntry<R>[];
}

type Pending<R> = Map<string, PendingEntry<R>>;

/**
 * Pending work of one portal. An event is merged only into an entry that waits, never into one in flight: the read of
 * that one may be older than the event.
 */
export class Lane<H extends LaneRules, R extends LaneReceipt> {
  /** By handler, in round-robin order; within one, entries in order of arrival. */
  private readonly pending = new Map<H, Pending<R>>();
  private entryCount = 0;
  /** Of the batch that was taken last, until it is handled. */
  private inFlight: { events: number; oldestAt: number } | undefined;
  private unmerged = 0;
  /** For events that exceed the lane's capacity. */
  readonly overflow = new DeferralPolicy();

  constructor(readonly memberId: string) {}

  /** Waiting events, each counted although merged. */
  get size(): number {
    return this.entryCount;
  }

  /** Events that wait or are in flight. */
  get held(): number {
    return this.entryCount + (this.inFlight?.events ?? 0);
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

  /** Its next batch would not grow any more. */
  get isFull(): boolean {
    for (const [handler, pending] of this.pending) if (pending.size >= handler.maxEntries) return true;
    return false;
  }

  /** Some waiting messages were delivered to a process before, and may have crashed it. */
  get isSuspect(): boolean {
    for (const { receipts } of this.waiting()) {
      if (receipts.some(({ lost, deliveryCount }) => !lost && deliveryCount > 0)) return true;
    }
    return false;
  }

  /** Unix time in milliseconds at which the oldest event, waiting or in flight, was received. */
  get oldestAt(): number | undefined {
    let oldestAt = this.inFlight?.oldestAt;
    for (const { view } of this.waiting()) oldestAt = Math.min(oldestAt ?? Infinity, view.firstSeenAt);
    return oldestAt;
  }

  add(handler: H, event: PortalEvent, receipt: R): void {
    const pending = this.pending.get(handler) ?? new Map<string, PendingEntry<R>>();
    this.pending.set(handler, pending);
    const key = handler.merge && event.entity !== null ? event.entity : `#${this.unmerged++}`;
    const entry = pending.get(key);
    if (entry) addToEntry(entry, event, receipt);
    else pending.set(key, newEntry(key, event, receipt, { withData: !handler.merge }));
    this.entryCount += 1;
  }

  /**
   * The next batch, of the handler that is next in turn; undefined when everything waiting has returned to the bus.
   * @param limitFor maximum entries of the batch
   */
  take(limitFor: (handler: H) => number = ({ maxEntries }) => maxEntries): LaneBatch<H, R> | undefined {
    for (const [handler, pending] of this.pending) {
      this.pending.delete(handler);
      const limit = limitFor(handler);
      const entries: PendingEntry<R>[] = [];
      for (const [key, entry] of pending) {
        if (entries.length >= limit) break;
        pending.delete(key);
        this.entryCount -= entry.receipts.length;
        if (!isLost(entry)) entries.push(entry);
      }
      // Behind the other handlers of this portal, so that a flood for one does not starve them.
      if (pending.size > 0) this.pending.set(handler, pending);
      if (entries.length === 0) continue;
      this.inFlight = {
        events: entries.reduce((sum, { receipts }) => sum + receipts.length, 0),
        oldestAt: Math.min(...entries.map(({ view }) => view.firstSeenAt)),
      };
      return { memberId: this.memberId, handler, entries };
    }
    return undefined;
  }

  /** The batch taken last is no longer in flight: settled, or put back. */
  handled(): void {
    this.inFlight = undefined;
  }

  /** Puts entries of a batch back: before everything that arrived since, and merged with it. */
  putBack(handler: H, entries: readonly PendingEntry<R>[]): void {
    this.handled();
    const since = this.pending.get(handler) ?? new Map<string, PendingEntry<R>>();
    const pending: Pending<R> = new Map();
    for (const entry of entries) {
      this.entryCount += entry.receipts.length;
      const later = since.get(entry.key);
      since.delete(entry.key);
      pending.set(entry.key, later ? mergeEntries(entry, later) : entry);
    }
    for (const [key, entry] of since) pending.set(key, entry);
    if (pending.size > 0) this.pending.set(handler, pending);
  }

  /** Removes and returns everything that waits. */
  empty(): PendingEntry<R>[] {
    const entries = [...this.waiting()];
    this.pending.clear();
    this.entryCount = 0;
    return entries;
  }

  /**
   * Drops messages that have returned to the bus and will be redelivered. Called for each event that finds the lane
   * full, so it scans all of them only when the oldest has returned.
   */
  dropLost(): void {
    const [oldest] = this.waiting();
    if (!oldest?.receipts[0]?.lost) return;
    this.entryCount = 0;
    for (const [handler, pending] of this.pending) {
      for (const [key, entry] of pending) {
        entry.receipts = entry.receipts.filter(({ lost }) => !lost);
        this.entryCount += entry.receipts.length;
        if (entry.receipts.length === 0) pending.delete(key);
      }
      if (pending.size === 0) this.pending.delete(handler);
    }
  }

  private *waiting(): Iterable<PendingEntry<R>> {
    for (const pending of this.pending.values()) yield* pending.values();
  }
}
