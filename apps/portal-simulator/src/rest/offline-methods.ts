import type { OfflineRecord } from '../events/offline-queue.js';
import { argument, integerOf, listOf, textOf } from '../protocol/php.js';
import { administratorRequired, missingArgument, RestError } from '../protocol/rest-error.js';
import {
  applicationOf,
  connectorOf,
  isAdministrator,
  nextStart,
  PAGE_SIZE,
  parseStart,
  type Call,
  type Method,
} from './method.js';
import {
  GET_RULES,
  LIST_RULES,
  parseOfflineFilter,
  parseOfflineOrder,
  showRecord,
  invalidParameter,
} from './offline-filter.js';

const DEFAULT_LIMIT = 50;
const MESSAGE_ID_LENGTH = 32;

/** `event.offline.*` (api-reference/events/): for an administrator, with the authorization of the application. */
export const offlineMethods: Record<string, Method> = {
  /** `clear=1` with a process id deletes the whole batch, also what `limit` kept out of the answer. */
  'event.offline.get'(call) {
    requireAdministrator(call, 'Offline events');
    const { portal, params } = call;
    const { offline } = portal;
    const matches = parseOfflineFilter(argument(params, 'filter'), GET_RULES);
    const order = parseOfflineOrder(argument(params, 'order'), GET_RULES, 'TIMESTAMP_X');
    const limit = limitOf(call);
    const clears = (textOf(argument(params, 'clear')) ?? '1') !== '0';
    if (!clears) requireFeature(call, 'rest_offline_extended');
    const connector = connectorOf(call);
    const given = textOf(argument(params, 'process_id')) ?? '';
    const isError = textOf(argument(params, 'error')) === '1';
    const found = offline
      .records(connector)
      .filter((one) => one.processId === given && one.isError === isError && matches(one))
      .toSorted(order)
      .slice(0, limit);
    const events = found.map(showRecord);
    if (given !== '') {
      if (clears) offline.remove((one) => one.connector === connector && one.processId === given);
      return { result: { process_id: clears ? null : given, events } };
    }
    if (!clears) return { result: { process_id: offline.reserve(found), events } };
    const taken = new Set(found);
    offline.remove((one) => taken.has(one));
    return { result: { process_id: null, events } };
  },

  'event.offline.list'(call) {
    requireAdministrator(call, 'Offline events');
    const { portal, params } = call;
    const matches = parseOfflineFilter(argument(params, 'filter'), LIST_RULES);
    const order = parseOfflineOrder(argument(params, 'order'), LIST_RULES, 'ID');
    const { offset } = parseStart(argument(params, 'start'));
    const found = portal.offline.records(connectorOf(call)).filter(matches).toSorted(order);
    return {
      result: found.slice(offset, offset + PAGE_SIZE).map((record) => ({
        ...showRecord(record),
        PROCESS_ID: record.processId,
        ERROR: record.isError ? '1' : '0',
      })),
      total: found.length,
      next: nextStart(offset, found.length),
    };
  },

  /** An empty process id deletes what is in no batch; neither messages nor ids: the whole batch. */
  'event.offline.clear'(call) {
    requireAdministrator(call, 'Offline events');
    const processId = requiredProcessId(call);
    const connector = connectorOf(call);
    const messageIds = messageIdsOf(call);
    const ids = idsOf(call);
    call.portal.offline.remove(
      (one) => one.connector === connector && one.processId === processId && isNamed(one, messageIds, ids),
    );
    return { result: true };
  },

  'event.offline.error'(call) {
    requireAdministrator(call, 'Offline events');
    const processId = requiredProcessId(call);
    const messageIds = messageIdsOf(call);
    if (messageIds.size === 0) throw missingArgument('MESSAGE_ID');
    call.portal.offline.fail(processId, connectorOf(call), messageIds);
    return { result: true };
  },
};

/** With messages and ids, the messages count. */
function isNamed(record: OfflineRecord, messageIds: ReadonlySet<string>, ids: ReadonlySet<number>): boolean {
  if (messageIds.size > 0) return messageIds.has(record.messageId);
  return ids.size === 0 || ids.has(record.id);
}

function requireAdministrator(call: Call, what: string): void {
  applicationOf(call);
  if (!isAdministrator(call)) throw administratorRequired(what);
}

/** `Y`, or `<language>_selfhosted` on premise. @throws RestError WRONG_LICENSE */
export function requireFeature({ portal }: Pick<Call, 'portal'>, feature: string): void {
  const value = portal.settings.features[feature] ?? 'N';
  if (value === 'Y' || value.endsWith('_selfhosted')) return;
  throw new RestError('WRONG_LICENSE', `The feature ${feature} is not available with this license`, 403);
}

function limitOf({ params }: Call): number {
  const given = argument(params, 'limit');
  if (given === undefined) return DEFAULT_LIMIT;
  const limit = integerOf(given);
  if (limit === undefined || limit < 1) throw invalidParameter('limit');
  return limit;
}

/** Compulsory, but empty is no error. */
function requiredProcessId({ params }: Call): string {
  const processId = textOf(argument(params, 'process_id'));
  if (processId === undefined) throw missingArgument('PROCESS_ID');
  return processId;
}

function messageIdsOf({ params }: Call): Set<string> {
  const given = listOf(argument(params, 'message_id')).map((one) => textOf(one) ?? '');
  if (given.some((one) => one.length !== MESSAGE_ID_LENGTH)) throw invalidParameter('message_id');
  return new Set(given);
}

function idsOf({ params }: Call): Set<number> {
  return new Set(
    listOf(argument(params, 'id')).map((one) => {
      const id = integerOf(one);
      if (id === undefined || id < 1) throw invalidParameter('id');
      return id;
    }),
  );
}
