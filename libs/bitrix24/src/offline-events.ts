import { z } from 'zod';
import type { PortalClient } from './portal-client.js';
import type { Command, CommandOutcome } from './rest/batch.js';
import { Bitrix24Error } from './rest/errors.js';
import { listOf, PAGE_SIZE } from './rest/listing.js';
import type { Params } from './rest/query.js';
import { invalidResponse, type RestResponse } from './rest/response.js';

/** One record of the portal's offline queue (`api-reference/events/event-offline-get.md`). */
export interface OfflineRecord {
  /** Stays the same when the record is refreshed, so it is no id of a delivery. */
  readonly id: number;
  /** 32 characters, md5 of the event's name and data. */
  readonly messageId: string;
  /** As the portal wrote it. */
  readonly name: string;
  /** What the portal sent: an object, `false`, `null`, or anything else. */
  readonly data: unknown;
  /** TIMESTAMP_X by the portal's clock, Unix time in ms; undefined if it is no time. */
  readonly timestampMs: number | undefined;
}

/** Id of a batch of reserved records. */
export type ProcessId = string & { readonly __brand: 'ProcessId' };

export interface OfflineBatch {
  readonly processId: ProcessId;
  readonly records: readonly OfflineRecord[];
  readonly unreadable: Unreadable;
}

/** Records that are not as documented. */
export interface Unreadable {
  readonly count: number;
  /** Of those that have one. */
  readonly ids: readonly number[];
}

/** Whether the application may use the offline queue here, and how. */
export interface OfflineAccess {
  /** Whether the stored token pair is an administrator's: all methods of the queue need one. */
  readonly isAdministrator: boolean;
  /** Whether `clear=0` is allowed, which reserves records instead of deleting them. */
  readonly canReserve: boolean;
  /** Whether requests may carry `auth_connector`. */
  readonly hasConnector: boolean;
}

interface Options {
  readonly signal?: AbortSignal | undefined;
}

interface QueueOptions extends Options {
  /** The queue that was bound with this `auth_connector`; each has one of its own. */
  readonly connector?: string | undefined;
}

interface Selection {
  /** Only records that have rested since this time by the portal's clock, Unix time in ms. */
  readonly untilMs?: number | undefined;
  /** Those that are marked as errors instead of those that are not: a mark hides a record, and swallows repeats of it. */
  readonly isMarked?: boolean | undefined;
}

const PROCESS_ID = /^[\da-z]{32}$/i;
const MESSAGE_ID = /^[\da-z]{32}$/i;
/** The documentation names no maximum; so many records are some 650 KB. */
export const MAX_OFFLINE_RECORDS = 2_500;

/**
 * An empty process id is no error to a portal: `event.offline.clear` then deletes everything that is in no batch.
 * @throws TypeError
 */
export function toProcessId(text: string): ProcessId {
  if (isProcessId(text)) return text;
  throw new TypeError('a process id has 32 letters and digits');
}

function isProcessId(text: string): text is ProcessId {
  return PROCESS_ID.test(text);
}

const idValue = z.union([
  z.int().positive(),
  z
    .string()
    .regex(/^[1-9]\d{0,14}$/)
    .transform(Number),
]);
const record = z.object({
  ID: idValue,
  TIMESTAMP_X: z.unknown().optional(),
  EVENT_NAME: z.string().min(1).max(255),
  EVENT_DATA: z.unknown().optional(),
  MESSAGE_ID: z.string().regex(MESSAGE_ID),
});
const identified = z.object({ ID: idValue });
const listedRecord = identified.extend({ PROCESS_ID: z.unknown().optional() });
const records = z.array(z.unknown());
const answer = z.object({ process_id: z.unknown().optional(), events: records });

function toRecord(parsed: z.output<typeof record>): OfflineRecord {
  const timeMs = typeof parsed.TIMESTAMP_X === 'string' ? Date.parse(parsed.TIMESTAMP_X) : Number.NaN;
  return {
    id: parsed.ID,
    messageId: parsed.MESSAGE_ID,
    name: parsed.EVENT_NAME,
    data: parsed.EVENT_DATA,
    timestampMs: Number.isNaN(timeMs) ? undefined : timeMs,
  };
}

/** One unreadable record does not hide the others. */
function readRecords(entries: readonly unknown[]): Pick<OfflineBatch, 'records' | 'unreadable'> {
  const read: OfflineRecord[] = [];
  const ids: number[] = [];
  for (const entry of entries) {
    const parsed = record.safeParse(entry);
    if (parsed.success) read.push(toRecord(parsed.data));
    else ids.push(...idsOf([entry]));
  }
  return { records: read, unreadable: { count: entries.length - read.length, ids } };
}

function idsOf(entries: readonly unknown[]): number[] {
  return entries.flatMap((entry) => {
    const parsed = identified.safeParse(entry);
    return parsed.success ? [parsed.data.ID] : [];
  });
}

/**
 * Asks in one request. An error of the feature means that the portal does not know it. @throws Bitrix24Error
 */
export async function readOfflineAccess(client: PortalClient, options: Options = {}): Promise<OfflineAccess> {
  const outcomes = await client.batch(
    {
      administrator: { method: 'user.admin' },
      extended: { method: 'feature.get', params: { code: 'rest_offline_extended' } },
      connector: { method: 'feature.get', params: { code: 'rest_auth_connector' } },
    },
    options,
  );
  const { administrator, extended, connector } = outcomes;
  if (administrator?.ok !== true) throw administrator?.error ?? new Bitrix24Error('NOT_RUN');
  return {
    isAdministrator: administrator.result === true,
    canReserve: isFeature(extended),
    hasConnector: isFeature(connector),
  };
}

function isFeature(outcome: CommandOutcome | undefined): boolean {
  const answered = outcome?.ok ? featureAnswer.safeParse(outcome.result) : undefined;
  return answered?.success === true && isEnabled(answered.data.value);
}

const featureAnswer = z.object({ value: z.string().max(64) });

/** `Y`, or `<language>_selfhosted` on premise (`api-reference/common/system/feature-get.md`). */
function isEnabled(value: string): boolean {
  return value === 'Y' || value.endsWith('_selfhosted');
}

/**
 * Reserves the records that waited longest; no batch if there is none. Their batch is hidden from other calls until `clearReserved`, for 30 days.
 * A lost response leaves a batch that only `listReserved` finds.
 * @throws Bitrix24Error `WRONG_LICENSE` where the plan does not allow it
 */
export async function reserveRecords(
  client: PortalClient,
  limit: number,
  { signal, connector, untilMs, isMarked }: QueueOptions & Selection = {},
): Promise<{ batch: OfflineBatch | undefined; time: RestResponse['time'] }> {
  const params = {
    clear: 0,
    limit: checkLimit(limit),
    order: { TIMESTAMP_X: 'ASC' },
    ...restedUntil(untilMs),
    ...markedOnly(isMarked),
  };
  const command = { method: 'event.offline.get', params };
  const { result, time } = await ofOneCommand(client, command, { signal, connector, repeatable: false });
  const { process_id: processId, events } = readAnswer(client, result);
  if (events.length === 0) return { batch: undefined, time };
  if (typeof processId !== 'string' || !isProcessId(processId)) {
    throw invalidResponse(contextOf(client, 'event.offline.get'));
  }
  return { batch: { processId, ...readRecords(events) }, time };
}

/** Reads what is left of a batch, and changes nothing. Never sends `clear=1`, which would delete the whole batch. */
export async function readReserved(
  client: PortalClient,
  processId: ProcessId,
  {
    signal,
    connector,
    limit = MAX_OFFLINE_RECORDS,
    isMarked,
  }: QueueOptions & Pick<Selection, 'isMarked'> & { readonly limit?: number } = {},
): Promise<OfflineBatch> {
  const process_id = toProcessId(processId);
  const params = { clear: 0, process_id, limit: checkLimit(limit), ...markedOnly(isMarked) };
  const command = { method: 'event.offline.get', params };
  const { result } = await ofOneCommand(client, command, { signal, connector, repeatable: true });
  return { ...readRecords(readAnswer(client, result).events), processId };
}

/**
 * Takes all records up to an id out of the queue: the portal deletes them as it answers, so a lost response loses what the caller
 * has not stored before. Never sends a process id, with which more would be deleted.
 */
export async function takeRecords(
  client: PortalClient,
  {
    lastId,
    limit,
    signal,
    connector,
    untilMs,
    isMarked,
  }: { lastId: number; limit: number } & QueueOptions & Selection,
): Promise<Pick<OfflineBatch, 'records' | 'unreadable'>> {
  const rested = restedUntil(untilMs);
  const params = {
    clear: 1,
    limit: checkLimit(limit),
    order: { ID: 'ASC' },
    filter: { ...rested.filter, '<=ID': lastId },
    ...markedOnly(isMarked),
  };
  const command = { method: 'event.offline.get', params };
  const { result } = await ofOneCommand(client, command, { signal, connector, repeatable: false });
  return readRecords(readAnswer(client, result).events);
}

/** Records by id, and how far the list came. */
interface WaitingRecords extends Pick<OfflineBatch, 'records' | 'unreadable'> {
  /** The last id, also of a record that cannot be read; undefined when there is none after `afterId`. */
  readonly lastId: number | undefined;
  /** Nothing followed when the portal was asked. */
  readonly isEnd: boolean;
  /** How many records are left, as the portal counts. */
  readonly left: number;
  readonly time: RestResponse['time'];
}

/**
 * Records that are in no batch, by id; changes nothing. `pages` of fifty are one request: each begins after the last
 * id of the one before, which the portal inserts (`settings/performance/huge-data.md`).
 * @throws Bitrix24Error
 */
export async function listWaiting(
  client: PortalClient,
  {
    afterId,
    pages = 1,
    signal,
    connector,
    untilMs,
    isMarked = false,
  }: { afterId: number; pages?: number } & QueueOptions & Selection,
): Promise<WaitingRecords> {
  const commands: Record<string, Command> = {};
  for (let page = 0; page < pages; page += 1) {
    const after = page === 0 ? afterId : `$result[p${page - 1}][${PAGE_SIZE - 1}][ID]`;
    const filter = { ERROR: Number(isMarked), '>ID': after, ...restedUntil(untilMs).filter };
    // An empty text means: in no batch.
    const params = { filter: { PROCESS_ID: '', ...filter }, order: { ID: 'ASC' } };
    commands[`p${page}`] = { method: 'event.offline.list', params };
  }
  const entries: unknown[] = [];
  let [lastId, left]: [number, number] = [afterId, 0];
  let isEnd = false;
  const outcomes = await client.batch(commands, { signal, connector: connector ?? '' });
  for (const outcome of Object.values(outcomes)) {
    // After a short page the reference leads nowhere, and what follows means nothing.
    if (isEnd || (!outcome.ok && entries.length > 0)) break;
    const page = pageOf(client, outcome);
    const pageEnd = lastOf(page, lastId);
    isEnd = page.length < PAGE_SIZE || pageEnd === undefined;
    if (pageEnd !== undefined) entries.push(...page);
    lastId = pageEnd ?? lastId;
    left = Math.max(0, (outcome.ok ? (outcome.total ?? 0) : 0) - page.length);
  }
  const first = outcomes['p0'];
  return {
    ...readRecords(entries),
    lastId: lastId > afterId ? lastId : undefined,
    isEnd,
    left,
    time: first?.ok ? first.time : undefined,
  };
}

/** Undefined for a page on which nothing is new: a portal that ignores the filter would be listed for ever. */
function lastOf(entries: readonly unknown[], afterId: number): number | undefined {
  const last = Math.max(afterId, ...idsOf(entries));
  return last > afterId ? last : undefined;
}

/**
 * Ids of batches that hold records. Finds those whose response was lost.
 * @returns `isComplete`: there is nothing after the last page
 * @throws Bitrix24Error
 */
export async function listReserved(
  client: PortalClient,
  maxPages: number,
  { signal, connector }: QueueOptions = {},
): Promise<{ processIds: Set<ProcessId>; isComplete: boolean }> {
  const processIds = new Set<ProcessId>();
  let afterId = 0;
  for (let read = 0; read < maxPages; read += 1) {
    const filter = { '>PROCESS_ID': '', '>ID': afterId };
    const command = { method: 'event.offline.list', params: { filter, order: { ID: 'ASC' } } };
    const page = await ofOneCommand(client, command, { signal, connector, repeatable: true });
    const entries = pageOf(client, { ok: true, ...page });
    for (const entry of entries) {
      const parsed = listedRecord.safeParse(entry);
      if (!parsed.success) continue;
      const { PROCESS_ID: processId } = parsed.data;
      if (typeof processId === 'string' && isProcessId(processId)) processIds.add(processId);
    }
    const lastId = lastOf(entries, afterId);
    if (entries.length < PAGE_SIZE || lastId === undefined) return { processIds, isComplete: true };
    afterId = lastId;
  }
  return { processIds, isComplete: false };
}

/**
 * Deletes these records of a batch. Without records nothing is sent: a portal would delete the whole batch.
 * @throws TypeError for an invalid id; Bitrix24Error
 */
export async function clearReserved(
  client: PortalClient,
  processId: ProcessId,
  messageIds: readonly string[],
  { signal, connector = '' }: QueueOptions = {},
): Promise<void> {
  const process_id = toProcessId(processId);
  if (messageIds.some((id) => !MESSAGE_ID.test(id))) {
    throw new TypeError('a message id has 32 letters and digits');
  }
  if (messageIds.length === 0) return;
  await client.call(
    'event.offline.clear',
    { process_id, message_id: [...new Set(messageIds)] },
    { signal, connector, repeatable: true },
  );
}

/**
 * Deletes records of a batch that have no message id, by their own. Without ids nothing is sent: a portal would delete the whole batch.
 * @throws TypeError for an invalid id; Bitrix24Error
 */
export async function clearUnreadable(
  client: PortalClient,
  processId: ProcessId,
  ids: readonly number[],
  { signal, connector = '' }: QueueOptions = {},
): Promise<void> {
  const process_id = toProcessId(processId);
  if (ids.some((id) => !Number.isSafeInteger(id) || id < 1))
    throw new TypeError('an id is a positive integer');
  if (ids.length === 0) return;
  await client.call(
    'event.offline.clear',
    { process_id, id: [...new Set(ids)] },
    { signal, connector, repeatable: true },
  );
}

/**
 * To be sent with the `connector` of the queue. `handler` and `auth_type` mean nothing here (`api-reference/events/event-bind.md`).
 * @throws TypeError
 */
export function bindOfflineCommand(event: string): Command {
  if (event === '') throw new TypeError('event.bind needs an event');
  return { method: 'event.bind', params: { event, event_type: 'offline' } };
}

/** @throws TypeError without an event, for which some portals unbind all */
export function unbindOfflineCommand(event: string): Command {
  if (event === '') throw new TypeError('event.unbind needs an event');
  return { method: 'event.unbind', params: { event, event_type: 'offline' } };
}

const shownHandlers = listOf(
  z.object({ event: z.string(), offline: z.unknown().optional(), connector_id: z.unknown().optional() }),
);

/** Names of the events that are bound offline with this connector. @throws Bitrix24Error */
export async function listOfflineHandlers(
  client: PortalClient,
  { signal, connector = '' }: QueueOptions = {},
): Promise<Set<string>> {
  const { result } = await client.call('event.get', {}, { signal });
  const handlers = shownHandlers.safeParse(result);
  if (!handlers.success) throw invalidResponse(contextOf(client, 'event.get'));
  const own = handlers.data.filter(
    ({ offline, connector_id: bound }) => (offline === 1 || offline === '1') && (bound ?? '') === connector,
  );
  return new Set(own.map(({ event }) => event.toUpperCase()));
}

function readAnswer(client: PortalClient, result: unknown): z.output<typeof answer> {
  const parsed = answer.safeParse(result);
  if (!parsed.success) throw invalidResponse(contextOf(client, 'event.offline.get'));
  return parsed.data;
}

function pageOf(client: PortalClient, outcome: CommandOutcome): unknown[] {
  if (!outcome.ok) throw outcome.error;
  const parsed = records.safeParse(outcome.result);
  if (!parsed.success) throw invalidResponse(contextOf(client, 'event.offline.list'));
  return parsed.data;
}

/**
 * Sent as a batch of one: an error of the plan (`WRONG_LICENSE`) then concerns this command only, and not the portal,
 * which would be suspended for it.
 */
async function ofOneCommand(
  client: PortalClient,
  command: Command,
  { signal, connector = '', repeatable }: QueueOptions & { readonly repeatable: boolean },
): Promise<RestResponse> {
  const { only } = await client.batch({ only: command }, { signal, connector, repeatable });
  if (only?.ok) return only;
  throw only?.error ?? new Bitrix24Error('NOT_RUN', { memberId: client.memberId, method: command.method });
}

function restedUntil(untilMs: number | undefined): { filter?: Params } {
  if (untilMs === undefined) return {};
  return { filter: { '<=TIMESTAMP_X': new Date(untilMs).toISOString() } };
}

function markedOnly(isMarked: boolean | undefined): Params {
  return isMarked === true ? { error: 1 } : {};
}

function checkLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_OFFLINE_RECORDS) return limit;
  throw new RangeError(`a limit is 1 to ${MAX_OFFLINE_RECORDS}: ${limit}`);
}

function contextOf({ memberId }: PortalClient, method: string) {
  return { memberId, method, secrets: [] };
}
