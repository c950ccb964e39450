import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** `interactive`: an event whose result a person waits for. `background`: a backfill or a reconciliation. */
export type Priority = 'interactive' | 'background';

/** Operating time of one method as a response reports it (`limits.md`). */
export interface MethodUsage {
  /** The called method's name in lower case. */
  readonly method: string;
  /** Seconds used by this application in the last ten minutes; undefined if the response does not report it. */
  readonly operatingSeconds: number | undefined;
  /** Milliseconds until the oldest of these minutes expires. */
  readonly resetsInMs: number | undefined;
  /** The call failed with `OPERATION_TIME_LIMIT`. */
  readonly exhausted: boolean;
}

/** One HTTP request. Method names in lower case. */
export interface RequestToAdmit {
  readonly priority: Priority;
  /** Without these the request is not sent; for a batch also `batch` itself. */
  readonly methods: readonly string[];
  /** Commands of a batch that can be left out; of those given at least one must be sent. */
  readonly optional?: readonly string[];
}

/** The methods that must not be called now, because their operating time is used up, with the delay in milliseconds. */
export type Throttled = ReadonlyMap<string, number>;

/** Keeps all requests to one portal within its limits. All callers of the portal from one address must share it. */
export interface RateLimiter {
  /**
   * Resolves when the request may be sent without its throttled methods, or at once when it cannot be sent without
   * them (`canBeSent`): then it counts toward no limit.
   * @throws the error of a shared store; the signal's reason
   */
  admit(request: RequestToAdmit, signal?: AbortSignal): Promise<Throttled>;
  /**
   * A request failed with `QUERY_LIMIT_EXCEEDED`: another client calls this portal from our address. Must not reject:
   * the request is retried, not lost.
   */
  rejected(): Promise<void>;
  /** Records usage samples. Must not reject: a response is not lost because its sample could not be stored. */
  observe(usage: readonly MethodUsage[]): Promise<void>;
}

export function canBeSent({ methods, optional = [] }: RequestToAdmit, throttled: Throttled): boolean {
  if (methods.some((method) => throttled.has(method))) return false;
  return optional.length === 0 || optional.some((method) => !throttled.has(method));
}

/** @throws the signal's reason */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  expectMany(signal);
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Rejects with the signal's reason when the signal aborts; `work` itself continues. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  expectMany(signal);
  return new Promise((resolve, reject) => {
    const abandon = (): void => reject(signal.reason);
    if (signal.aborted) abandon();
    signal.addEventListener('abort', abandon, { once: true });
    work.finally(() => signal.removeEventListener('abort', abandon)).then(resolve, reject);
  });
}

/** Many requests may wait on one signal, such as that of the process: Node's leak warning would be false. */
function expectMany(signal: AbortSignal | undefined): void {
  if (signal) setMaxListeners(0, signal);
}
