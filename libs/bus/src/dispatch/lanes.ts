import type { PortalEvent } from '@relay/events';
import type { PortalEntry } from './batch.js';

export interface LaneRules {
  /** Pending events of one entity become one entry. */
  readonly merge: boolean;
  /** Most entries of one batch. */
  readonly maxEntries: number;
}

export interface PendingEntry<R> {
  readonly view: PortalEntry;
  readonly receipts: R[];
}

export interface LaneBatch<H, R> {
  readonly memberId: string;
  readonly handler: H;
  readonly entries: PendingEntry<R>[];
}

interface Lane<H, R> {
  inHand: boolean;
  /** By handler, in their turn; within one, entries in their order of arrival. */
  readonly pending: Map<H, Map<string, PendingEntry<R>>>;
}

/**
 * Decides what is worked on next: a lane for each portal, at most one batch of a portal in hand, lanes take turns.
 * An event is merged only into an entry that still waits, never into one in hand: that one's read may be older.
 */
export class Lanes<H extends LaneRules, R extends { readonly lost: boolean }> {
  readonly #lanes = new Map<string, Lane<H, R>>();
  /** Portals that have work and no batch in hand; the order of insertion is the order of turns. */
  readonly #waiting = new Set<string>();
  #unmerged = 0;

  add(handler: H, event: PortalEvent, receipt: R): void {
    const lane = this.#laneOf(event.memberId);
    const entries = entriesOf(lane, handler);
    const key = handler.merge && event.entity !== null ? event.entity : `#${this.#unmerged++}`;
    const entry = entries.get(key);
    if (entry) mergeInto(entry, event, receipt);
    else entries.set(key, { view: newView(handler, event), receipts: [receipt] });
    if (!lane.inHand) this.#waiting.add(event.memberId);
  }

  /** The next batch, now in hand; undefined when no portal without a batch in hand has work. */
  take(): LaneBatch<H, R> | undefined {
    for (const memberId of this.#waiting) {
      this.#waiting.delete(memberId);
      const lane = this.#laneOf(memberId);
      const batch = takeBatch(memberId, lane);
      if (batch) {
        lane.inHand = true;
        return batch;
      }
      this.#lanes.delete(memberId);
    }
    return undefined;
  }

  /** The portal's batch is no longer in hand; the lane goes to the end of the row. @returns whether it has work */
  release(memberId: string): boolean {
    const lane = this.#laneOf(memberId);
    lane.inHand = false;
    const hasWork = lane.pending.size > 0;
    if (hasWork) this.#waiting.add(memberId);
    else this.#lanes.delete(memberId);
    return hasWork;
  }

  /** Entries that wait. */
  pendingOf(memberId: string): number {
    let count = 0;
    for (const entries of this.#lanes.get(memberId)?.pending.values() ?? []) count += entries.size;
    return count;
  }

  /** Its next batch would not grow any more. */
  isFull(memberId: string): boolean {
    for (const [handler, pending] of this.#lanes.get(memberId)?.pending ?? []) {
      if (pending.size >= handler.maxEntries) return true;
    }
    return false;
  }

  /** Of all lanes: how many there are, how many events wait in them, and when the oldest of those was received. */
  summary(): { lanes: number; waiting: number; oldestAt: number | undefined } {
    let waiting = 0;
    let oldestAt: number | undefined;
    for (const { pending } of this.#lanes.values()) {
      for (const entries of pending.values()) {
        for (const { receipts, view } of entries.values()) {
          waiting += receipts.length;
          oldestAt = Math.min(oldestAt ?? Infinity, view.firstSeenAt);
        }
      }
    }
    return { lanes: this.#lanes.size, waiting, oldestAt };
  }

  #laneOf(memberId: string): Lane<H, R> {
    let lane = this.#lanes.get(memberId);
    if (!lane) {
      lane = { inHand: false, pending: new Map() };
      this.#lanes.set(memberId, lane);
    }
    return lane;
  }
}

function entriesOf<H, R>(lane: Lane<H, R>, handler: H): Map<string, PendingEntry<R>> {
  let entries = lane.pending.get(handler);
  if (!entries) {
    entries = new Map();
    lane.pending.set(handler, entries);
  }
  return entries;
}

/** Of the handler whose turn it is; entries whose every receipt is lost are left out, since they will come again. */
function takeBatch<H extends LaneRules, R extends { readonly lost: boolean }>(
  memberId: string,
  lane: Lane<H, R>,
): LaneBatch<H, R> | undefined {
  for (const [handler, pending] of lane.pending) {
    lane.pending.delete(handler);
    const entries: PendingEntry<R>[] = [];
    for (const [key, entry] of pending) {
      if (entries.length >= handler.maxEntries) break;
      pending.delete(key);
      if (!entry.receipts.every((receipt) => receipt.lost)) entries.push(entry);
    }
    // Behind the other handlers of this portal, so that a flood for one does not starve them.
    if (pending.size > 0) lane.pending.set(handler, pending);
    if (entries.length > 0) return { memberId, handler, entries };
  }
  return undefined;
}

function newView(rules: LaneRules, event: PortalEvent): PortalEntry {
  return {
    entity: event.entity ?? event.id,
    entityId: event.entityId,
    entityTypeId: event.entityTypeId,
    names: [event.name],
    firstSeenAt: event.receivedAt,
    lastTs: event.ts,
    ...(rules.merge ? {} : { data: event.data }),
  };
}

function mergeInto<R>({ view, receipts }: PendingEntry<R>, event: PortalEvent, receipt: R): void {
  receipts.push(receipt);
  if (!view.names.includes(event.name)) view.names.push(event.name);
  view.firstSeenAt = Math.min(view.firstSeenAt, event.receivedAt);
  view.lastTs = Math.max(view.lastTs, event.ts);
}
