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
  /** Of all its events; undefined while one of them was posted, or they differ. */
  source?: PortalEvent['source'];
  /** Of the first events with a trace, not of all: a flood may be one entry. Undefined while none has one. */
  traceparents?: string[];
  /** Memory that `view.data` takes; undefined without data. */
  dataBytes?: number;
  /** `ts` of the event that the data are of. */
  dataTs?: number;
  /** Its handler has postponed it: it comes first in the next batch, and is not postponed again. */
  isPostponed?: boolean;
}

const MAX_TRACEPARENTS = 8;

/** @param dataBytes size of the event's data; 0 if they are not kept */
export function newEntry<R>(key: string, event: PortalEvent, receipt: R, dataBytes: number): PendingEntry<R> {
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
  mergeView(entry.view, { names: [event.name], firstSeenAt: event.receivedAt, lastTs: event.ts });
}

/** Merges a waiting entry with a later one of the same entity. */
export function mergeEntries<R>(earlier: PendingEntry<R>, later: PendingEntry<R>): PendingEntry<R> {
  mergeView(earlier.view, later.view);
  earlier.receipts = earlier.receipts.concat(later.receipts);
  if (later.source !== earlier.source) delete earlier.source;
  if (later.traceparents) addTraces(earlier, later.traceparents);
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
