import type { PortalEvent } from '@relay/bus';
import type { PortalEntry } from './batch.js';

/** What a lane needs to know of a receipt. */
export interface LaneReceipt {
  /** The message has returned to the bus and will be redelivered. */
  readonly lost: boolean;
  /** How often it was delivered before and came back unsettled. */
  readonly deliveryCount: number;
  /** Bytes of its message, where it is large. */
  readonly heldBytes?: number;
}

/** Waiting events that are handled as one. */
export interface PendingEntry<R> {
  /** Later events of the same entity are merged by this key. */
  readonly key: string;
  readonly view: PortalEntry;
  receipts: R[];
  /** Of all its events; undefined while one of them was posted, or they differ. */
  source?: PortalEvent['source'];
  /** Of the first events with a trace, not of all: a flood may be one entry. Undefined while none has one. */
  traceparents?: string[];
  /** Memory that `view.data` takes; undefined without data. */
  dataBytes?: number;
  /** Of the large messages among its receipts; undefined without one. */
  contentBytes?: number;
  /** `ts` of the event that the data are of. */
  dataTs?: number;
  /** Its handler has postponed it: it comes first in the next batch, and is not postponed again. */
  isPostponed?: boolean;
}

const MAX_TRACEPARENTS = 8;

/** @param dataBytes size of the event's data; 0 if they are not kept */
export function newEntry<R extends LaneReceipt>(
  key: string,
  event: PortalEvent,
  receipt: R,
  dataBytes: number,
): PendingEntry<R> {
  const { traceparent } = event;
  const view: PortalEntry = {
    entity: event.entity ?? event.id,
    entityId: event.entityId,
    entityTypeId: event.entityTypeId,
    names: [event.name],
    firstSeenAt: event.receivedAt,
    lastTs: event.ts,
  };
  const entry: PendingEntry<R> = { key, view, receipts: [receipt] };
  if (event.source !== undefined) entry.source = event.source;
  if (traceparent !== undefined) entry.traceparents = [traceparent];
  if (dataBytes > 0) keepLatestData(entry, event, dataBytes);
  countContent(entry, receipt.heldBytes);
  return entry;
}

export function addToEntry<R extends LaneReceipt>(
  entry: PendingEntry<R>,
  event: PortalEvent,
  receipt: R,
  dataBytes: number,
): void {
  entry.receipts.push(receipt);
  if (event.source !== entry.source) delete entry.source;
  if (event.traceparent !== undefined) addTraces(entry, [event.traceparent]);
  if (dataBytes > 0) keepLatestData(entry, event, dataBytes);
  countContent(entry, receipt.heldBytes);
  mergeView(entry.view, { names: [event.name], firstSeenAt: event.receivedAt, lastTs: event.ts });
}

/** Merges a waiting entry with a later one of the same entity. */
export function mergeEntries<R>(earlier: PendingEntry<R>, later: PendingEntry<R>): PendingEntry<R> {
  mergeView(earlier.view, later.view);
  earlier.receipts = earlier.receipts.concat(later.receipts);
  if (later.source !== earlier.source) delete earlier.source;
  if (later.traceparents) addTraces(earlier, later.traceparents);
  countContent(earlier, later.contentBytes);
  const { dataBytes, dataTs, view } = later;
  if (view.data && dataBytes !== undefined && dataTs !== undefined)
    keepLatestData(earlier, { data: view.data, ts: dataTs, eventId: view.eventId }, dataBytes);
  return earlier;
}

/** Of two events of one second the one that came later counts; an older one that comes late, after a retry, does not. */
function keepLatestData<R>(
  entry: PendingEntry<R>,
  { data, ts, eventId }: Pick<PortalEvent, 'data' | 'ts' | 'eventId'>,
  dataBytes: number,
): void {
  if (entry.dataTs !== undefined && ts < entry.dataTs) return;
  entry.dataBytes = dataBytes;
  entry.dataTs = ts;
  entry.view.data = data;
  if (eventId === undefined) delete entry.view.eventId;
  else entry.view.eventId = eventId;
}

/** Memory that the entry keeps: its data, and its large messages, which it may have to send on. */
export function bytesOf<R>({ dataBytes = 0, contentBytes = 0 }: PendingEntry<R>): number {
  return dataBytes + contentBytes;
}

/** Drops the messages that will be redelivered. */
export function dropLostReceipts(entry: PendingEntry<LaneReceipt>): void {
  entry.receipts = entry.receipts.filter(({ lost }) => !lost);
  delete entry.contentBytes;
  for (const { heldBytes } of entry.receipts) countContent(entry, heldBytes);
}

function countContent<R>(entry: PendingEntry<R>, bytes = 0): void {
  // A property more for each entry would take memory where there is nothing to count.
  if (bytes > 0) entry.contentBytes = (entry.contentBytes ?? 0) + bytes;
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
