/** Begins a line of standard output that is for people, and not of the log. */
export const BATCH_MARK = '\u0001';

/** What is known of a batch when it has ended. */
interface HandledBatch {
  /** Names of its events. */
  events: readonly string[];
  /** The first of its entities. */
  entities: readonly string[];
  /** Of all its events; undefined if Bitrix24 has posted one of them. */
  source?: 'offline' | 'reconcile' | undefined;
  /** Of its entries. */
  count: number;
  failed: number;
  /** The code of the error, if any. */
  error?: string | undefined;
  /** The methods that each request to the portal called. */
  requests: readonly (readonly string[])[];
  tookMs: number;
}

const MAX_NAMED = 4;
const ORIGINS = { offline: ' from the offline queue', reconcile: ' looked up after events were missed' };

/** `ONCRMDEALADD CRMDEAL:82 and 2 more: done in 34 ms (2 requests: crm.item.list; batch of crm.item.update)` */
export function lineOf(batch: HandledBatch): string {
  const { events, entities, source, count, failed, error, requests, tookMs } = batch;
  const [first = ''] = entities;
  const which = count > 1 ? `${first} and ${count - 1} more` : first;
  const origin = source === undefined ? '' : ORIGINS[source];
  const ms = `${Math.round(tookMs)} ms`;
  const outcome =
    error === undefined ? `done in ${ms}` : `${failed || count} of ${count} failed with ${error} after ${ms}`;
  return `${events.join(', ')} ${which}${origin}: ${outcome} (${callsOf(requests)})`;
}

function callsOf(requests: HandledBatch['requests']): string {
  if (requests.length === 0) return 'no request';
  const shown = named(requests.map(requestText), '; ');
  return `${requests.length} ${requests.length === 1 ? 'request' : 'requests'}: ${shown}`;
}

/** A batch has its commands' methods before its own. */
function requestText(methods: readonly string[]): string {
  const called = methods.filter((method) => method !== 'batch');
  return called.length < methods.length ? `batch of ${named(called, ', ')}` : named(called, ', ');
}

/** Each once, the first of them. */
function named(all: readonly string[], separator: string): string {
  const different = [...new Set(all)];
  const shown = different.slice(0, MAX_NAMED);
  return [...shown, ...(different.length > MAX_NAMED ? ['…'] : [])].join(separator);
}
