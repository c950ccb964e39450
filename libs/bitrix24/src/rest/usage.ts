import { z } from 'zod';
import type { Command, CommandOutcome } from './batch.js';
import { Bitrix24Error } from './errors.js';
import { holdsReference } from './query.js';
import type { MethodUsage, Throttled } from '../rate-limit/rate-limiter.js';
import { requestTime, type RequestTime, type RestResponse, untilReset } from './response.js';

/** Usage in the response to one call; empty for a portal that does not count, such as on-premise ones (`limits.md`). */
export function usageOfCall(method: string, { time }: RestResponse): MethodUsage[] {
  return time?.operating === undefined ? [] : [usage(method, time)];
}

/** Usage in an error. */
export function usageOfError(method: string, { code, retryAfterMs }: Bitrix24Error): MethodUsage[] {
  if (code !== 'OPERATION_TIME_LIMIT') return [];
  const name = method.toLowerCase();
  return [{ method: name, operatingSeconds: undefined, resetsInMs: retryAfterMs, exhausted: true }];
}

const batchTimes = z.object({
  result_time: z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]),
});

/**
 * Usage of each method in the response to a batch, and of `batch` itself: it is disputed which of the two is counted;
 * the documentation (`limits.md`) says the methods. Each method once, with its maximum.
 */
export function usageOfBatch(
  commands: Readonly<Record<string, Command>>,
  answer: RestResponse,
  outcomes: Readonly<Record<string, CommandOutcome>>,
): MethodUsage[] {
  const parsed = batchTimes.safeParse(answer.result);
  const times = new Map(Object.entries(parsed.success ? parsed.data.result_time : {}));
  const all = Object.entries(commands).flatMap(([key, { method }]) => {
    const outcome = outcomes[key];
    const time = requestTime.parse(times.get(key));
    return [
      ...(time?.operating === undefined ? [] : [usage(method, time)]),
      ...(outcome === undefined || outcome.ok ? [] : usageOfError(method, outcome.error)),
    ];
  });
  return [...maxOfEach(all), ...usageOfCall('batch', answer)];
}

function maxOfEach(all: readonly MethodUsage[]): Iterable<MethodUsage> {
  const most = new Map<string, MethodUsage>();
  for (const next of all) {
    const before = most.get(next.method);
    most.set(next.method, before === undefined ? next : more(before, next));
  }
  return most.values();
}

/** The error of an exhausted method has its reset time, which takes precedence over the usage of earlier commands. */
function more(one: MethodUsage, other: MethodUsage): MethodUsage {
  const [first, second] = weight(one) >= weight(other) ? [one, other] : [other, one];
  return {
    ...first,
    operatingSeconds: first.operatingSeconds ?? second.operatingSeconds,
    resetsInMs: first.resetsInMs ?? second.resetsInMs,
  };
}

function weight({ exhausted, operatingSeconds = 0 }: MethodUsage): number {
  return exhausted ? Infinity : operatingSeconds;
}

function usage(method: string, time: RequestTime): MethodUsage {
  return {
    method: method.toLowerCase(),
    operatingSeconds: time.operating,
    resetsInMs: untilReset(time),
    exhausted: false,
  };
}

/** Error without a request: a call of a method with exhausted operating time would only be rejected. */
export function throttledError(memberId: string, method: string, retryAfterMs: number): Bitrix24Error {
  return new Bitrix24Error('OPERATION_TIME_LIMIT', { memberId, method, retryAfterMs, delivered: 'no' });
}

interface SplitBatch {
  readonly sent: Record<string, Command>;
  /** Outcomes of the commands that are not sent. */
  readonly notSent: Record<string, CommandOutcome>;
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
  const notSent: [string, CommandOutcome][] = [];
  for (const [key, command] of Object.entries(commands)) {
    const wait = waitOf(command);
    if (wait === undefined) sent.push([key, command]);
    else notSent.push([key, { ok: false, error: throttledError(memberId, command.method, wait) }]);
  }
  return { sent: Object.fromEntries(sent), notSent: Object.fromEntries(notSent) };
}

/** True when in doubt: then the whole batch waits. */
function refersToOthers(params: Command['params']): boolean {
  return params !== undefined && holdsReference(JSON.stringify(params));
}
