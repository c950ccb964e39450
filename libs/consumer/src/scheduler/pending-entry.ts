import type { PortalEvent } from '@relay/bus';
import type { PortalEntry } from './batch.js';

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
export function isLost(entry: PendingEntry<LaneReceipt>): boolean {
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
