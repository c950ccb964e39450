import type { Command, CommandOutcome } from './batch.js';
import { Bitrix24Error } from './errors.js';
import { holdsReference } from './query.js';

/** Milliseconds during which a method must not be called, by its name in lower case. */
export type Throttled = ReadonlyMap<string, number>;

/** Error without a request: a call of a method with exhausted operating time would only be rejected. */
export function throttledError(memberId: string, method: string, retryAfterMs: number): Bitrix24Error {
  return new Bitrix24Error('OPERATION_TIME_LIMIT', { memberId, method, retryAfterMs, delivered: 'no' });
}

export interface SplitBatch {
  readonly sent: Record<string, Command>;
  /** Outcomes of the commands that are not sent. */
  readonly held: Record<string, CommandOutcome>;
}

/**
 * Removes the commands of paused methods from a batch.
 *
 * @throws Bitrix24Error `OPERATION_TIME_LIMIT` for the batch as a whole if commands depend on one another (`halt`, or a
 *   reference to another's result), and when `batch` itself is paused
 */
export function splitThrottled(
  commands: Readonly<Record<string, Command>>,
  paused: Throttled,
  { memberId, halt }: { readonly memberId: string; readonly halt: boolean },
): SplitBatch {
  const waitOf = ({ method }: Command): number | undefined => paused.get(method.toLowerCase());
  const waits = Object.values(commands).flatMap((command) => waitOf(command) ?? []);
  const whole = paused.get('batch');
  const linked = halt || Object.values(commands).some(({ params }) => refersToOthers(params));
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
