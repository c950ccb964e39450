/** What is known of a batch when it has ended. */
export interface HandledBatch {
  /** Names of its events. */
  events: readonly string[];
  /** The first of its entities. */
  entities: readonly string[];
  /** Of its entries. */
  count: number;
  failed: number;
  /** The code of the error, if any. */
  error?: string | undefined;
  /** The methods that each request to the portal called. */
  requests: readonly (readonly string[])[];
  tookMs: number;
}

const MAX_METHODS = 4;

/** `ONCRMDEALADD CRMDEAL:82 and 2 more: done in 34 ms (2 requests: crm.item.list, crm.item.update)` */
export function lineOf({ events, entities, count, failed, error, requests, tookMs }: HandledBatch): string {
  const [first = ''] = entities;
  const which = count > 1 ? `${first} and ${count - 1} more` : first;
  const ms = `${Math.round(tookMs)} ms`;
  const outcome =
    error === undefined ? `done in ${ms}` : `${failed || count} of ${count} failed with ${error} after ${ms}`;
  return `${events.join(', ')} ${which}: ${outcome} (${callsOf(requests)})`;
}

function callsOf(requests: HandledBatch['requests']): string {
  if (requests.length === 0) return 'no request';
  const methods = [...new Set(requests.flat())];
  const shown = methods.slice(0, MAX_METHODS).join(', ');
  const more = methods.length > MAX_METHODS ? ', …' : '';
  return `${requests.length} ${requests.length === 1 ? 'request' : 'requests'}: ${shown}${more}`;
}
