import type { Command, CommandOutcome } from './batch.js';
import { Bitrix24Error } from './errors.js';
import { holdsReference } from './query.js';
import type { Throttled } from './rate-limit/rate-limiter.js';

/** Error without a request: a call of a method with exhausted operating time would only be rejected. */
export function throttledError(memberId: string, method: string, retryAfterMs: number): Bitrix24Error {
  return new Bitrix24Error('OPERATION_TIME_LIMIT', { memberId, method, retryAfterMs, delivered: 'no' });
}

export interface SplitBatch {
  readonly sent: Record<string, Command>;
  /** Outcomes of the commands that are not sent. */
  readonly held: Record<string, CommandOutcome>;
}

/** Whether commands depend on one another: all of them are sent, or none. */
export function areLinked(commands: Readonly<Record<string, Command>>, halt: boolean): boolean {
  return halt || Object.values(commands).some(({ params }) => refersToOthers(params));
}

/**
 * Removes the commands of throttled methods from a batch.
 *
 * @throws Bitrix24Error `OPERATION_TIME_LIMIT` for the batch as a whole if its commands are linked, and when `batch`
 *   itself is throttled
 */
export function splitThrottled(
  commands: Readonly<Record<string, Command>>,
  throttled: Throttled,
  { memberId, linked }: { readonly memberId: string; readonly linked: boolean },
): SplitBatch {
  const waitOf = ({ method }: Command): number | undefined => throttled.get(method.toLowerCase());
  const waits = Object.values(commands).flatMap((command) => waitOf(command) ?? []);
  const whole = throttled.get('batch');
  if (whole !== undefined || (linked && waits.length > 0)) {
    throw throttledError(memberId, 'batch', Math.max(whole ?? 0, ...waits));
  }

  const sent: [string, Command][] = [];
  const held: [string, CommandOutcome][] = [];
  for (const [key, command] of Object.entries(commands)) {
    const wait = waitOf(command);
    if (wait === undefined) sent.push([key, command]);
    else held.push([key, { ok: false, error: throttledError(memberId, command.method, wait) }]);
  }
  return { sent: Object.fromEntries(sent), held: Object.fromEntries(held) };
}

/** True when in doubt: then the whole batch waits. */
function refersToOthers(params: Command['params']): boolean {
  return params !== undefined && holdsReference(JSON.stringify(params));
}
