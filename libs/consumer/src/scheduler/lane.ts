import type { PortalEvent } from '@relay/bus';
import type { PortalEntry } from './batch.js';
import type { LaneTotals } from './lane-totals.js';

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
  /** Each counted although merged. */
  private waitingEvents = 0;
  /** Of the batch that was taken last, until it is handled. */
  private inFlight: { events: number; oldestAt: number } | undefined;
  private unmerged = 0;
  /** For events that exceed the lane's capacity. */
  readonly overflow = new DeferralPolicy();

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
  get held(): number {
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

  add(handler: H, event: PortalEvent, receipt: R): void {
    const pending = this.pending.get(handler) ?? new Map<string, PendingEntry<R>>();
    this.pending.set(handler, pending);
    const key = handler.merge && event.entity !== null ? event.entity : `#${this.unmerged++}`;
    const entry = pending.get(key);
    if (entry) {
      this.totals.removeTime(entry.view.firstSeenAt);
      addToEntry(entry, event, receipt);
      this.totals.addTime(entry.view.firstSeenAt);
    } else {
      pending.set(key, newEntry(key, event, receipt, { withData: !handler.merge }));
      this.totals.addTime(event.receivedAt);
    }
    this.waitingEvents += 1;
    this.totals.events += 1;
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
        this.countOut(entry);
        if (!isLost(entry)) entries.push(entry);
      }
      // Behind the other handlers of this portal, so that a flood for one does not starve them.
      if (pending.size > 0) this.pending.set(handler, pending);
      if (entries.length === 0) continue;
      this.handled();
      this.inFlight = {
        events: entries.reduce((sum, { receipts }) => sum + receipts.length, 0),
        oldestAt: Math.min(...entries.map(({ view }) => view.firstSeenAt)),
      };
      this.totals.events += this.inFlight.events;
      this.totals.addTime(this.inFlight.oldestAt);
      return { memberId: this.memberId, handler, entries };
    }
    return undefined;
  }

  /** The batch taken last is no longer in flight: settled, or put back. */
  handled(): void {
    if (!this.inFlight) return;
    this.totals.events -= this.inFlight.events;
    this.totals.removeTime(this.inFlight.oldestAt);
    this.inFlight = undefined;
  }

  /** Puts entries of a batch back: before everything that arrived since, and merged with it. */
  putBack(handler: H, entries: readonly PendingEntry<R>[]): void {
    this.handled();
    const since = this.pending.get(handler) ?? new Map<string, PendingEntry<R>>();
    const pending: Pending<R> = new Map();
    for (const entry of entries) {
      const later = since.get(entry.key);
      since.delete(entry.key);
      if (later) this.countOut(later);
      const whole = later ? mergeEntries(entry, later) : entry;
      this.countIn(whole);
      pending.set(entry.key, whole);
    }
    for (const [key, entry] of since) pending.set(key, entry);
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
    const [oldest] = this.waiting();
    if (!oldest?.receipts[0]?.lost) return;
    for (const [handler, pending] of this.pending) {
      for (const [key, entry] of pending) {
        this.countOut(entry);
        entry.receipts = entry.receipts.filter(({ lost }) => !lost);
        if (entry.receipts.length === 0) pending.delete(key);
        else this.countIn(entry);
      }
      if (pending.size === 0) this.pending.delete(handler);
    }
  }

  private countIn({ receipts, view }: PendingEntry<R>): void {
    this.waitingEvents += receipts.length;
    this.totals.events += receipts.length;
    this.totals.addTime(view.firstSeenAt);
  }

  private countOut({ receipts, view }: PendingEntry<R>): void {
    this.waitingEvents -= receipts.length;
    this.totals.events -= receipts.length;
    this.totals.removeTime(view.firstSeenAt);
  }

  /** Entries that wait, each handler's in order of arrival. */
  *waiting(): Iterable<PendingEntry<R>> {
    for (const pending of this.pending.values()) yield* pending.values();
  }
}

/** What a lane needs to know of a receipt. */
export interface LaneReceipt {
  /** The message has returned to the bus and will be redelivered. */
  readonly lost: boolean;
  /** How often it was delivered before and came back unsettled. */
  readonly deliveryCount: number;
}

/** Waiting events that are handled as one. */
export interface PendingEntry<R> {
  /** Later events of the same entity are merged by this key. */
  readonly key: string;
  readonly view: PortalEntry;
  receipts: R[];
  /** Of the first events with a trace, not of all: a flood may be one entry. Undefined while none has one. */
  traceparents?: string[];
}

const MAX_TRACEPARENTS = 8;

/** @param withData for handlers that get every event separately */
export function newEntry<R>(
  key: string,
  event: PortalEvent,
  receipt: R,
  { withData }: { withData: boolean },
): PendingEntry<R> {
  const view = {
    entity: event.entity ?? event.id,
    entityId: event.entityId,
    entityTypeId: event.entityTypeId,
    names: [event.name],
    firstSeenAt: event.receivedAt,
    lastTs: event.ts,
    ...(withData && { data: event.data }),
  };
  const { traceparent } = event;
  return {
    key,
    view,
    receipts: [receipt],
    ...(traceparent !== undefined && { traceparents: [traceparent] }),
  };
}

export function addToEntry<R extends LaneReceipt>(
  entry: PendingEntry<R>,
  event: PortalEvent,
  receipt: R,
): void {
  entry.receipts.push(receipt);
  if (event.traceparent !== undefined) addTraces(entry, [event.traceparent]);
  mergeView(entry.view, { names: [event.name], firstSeenAt: event.receivedAt, lastTs: event.ts });
}

/** Merges a waiting entry with a later one of the same entity. */
export function mergeEntries<R>(earlier: PendingEntry<R>, later: PendingEntry<R>): PendingEntry<R> {
  mergeView(earlier.view, later.view);
  earlier.receipts = earlier.receipts.concat(later.receipts);
  if (later.traceparents) addTraces(earlier, later.traceparents);
  return earlier;
}

/** All of its messages will be redelivered. */
function isLost(entry: PendingEntry<LaneReceipt>): boolean {
  return entry.receipts.every(({ lost }) => lost);
}

function addTraces<R>(entry: PendingEntry<R>, more: readonly string[]): void {
  entry.traceparents ??= [];
  entry.traceparents.push(...more.slice(0, MAX_TRACEPARENTS - entry.traceparents.length));
}

function mergeView(
  view: PortalEntry,
  { names, firstSeenAt, lastTs }: Pick<PortalEntry, 'names' | 'firstSeenAt' | 'lastTs'>,
): void {
  for (const name of names) if (!view.names.includes(name)) view.names.push(name);
  view.firstSeenAt = Math.min(view.firstSeenAt, firstSeenAt);
  view.lastTs = Math.max(view.lastTs, lastTs);
}

/** How many events of one lane may be in a tier at once: two steady flows of 400 per second. */
const QUOTAS = [
  { delayMs: 5_000, max: 2_000 },
  { delayMs: 30_000, max: 12_000 },
];
const MAX_DELAY_MS = 120_000;

/**
 * Backpressure: when events that exceed a lane's capacity are redelivered. Soon, because the lane may free capacity
 * within seconds; but each redelivery costs the bus as much as a new event, so a large flood comes back slowly, and
 * faster as it shrinks.
 */
export class DeferralPolicy {
  private readonly flows = QUOTAS.map((quota) => ({ ...quota, since: -Infinity, count: 0 }));

  /** @returns the delay in milliseconds of the next event */
  nextDelayMs(now: number): number {
    for (const flow of this.flows) {
      if (now - flow.since >= flow.delayMs) [flow.since, flow.count] = [now, 0];
      flow.count += 1;
      if (flow.count <= flow.max) return flow.delayMs;
    }
    return MAX_DELAY_MS;
  }
}
