/**
 * `live`: interactive, an event whose result a person waits for. `bulk`: background, a backfill or a reconciliation.
 */
export type Priority = 'live' | 'bulk';

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

/** Keeps all requests to one portal within its limits. All callers of the portal from one address must share it. */
export interface RateLimiter {
  /**
   * The methods that must not be called now because their operating time is used up, with the delay in milliseconds.
   * The others may be called.
   */
  throttled(methods: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, number>>;
  /**
   * Resolves when one HTTP request with these methods (for a batch: those of its commands) may be sent.
   * @throws Bitrix24Error OPERATION_TIME_LIMIT when a method was paused after the call of `throttled`; the error of a
   *   shared store; the signal's reason
   */
  admit(request: { work: Priority; methods: readonly string[] }, signal?: AbortSignal): Promise<void>;
  /**
   * A request failed with `QUERY_LIMIT_EXCEEDED`: another client calls this portal from our address. Must not reject:
   * the request is retried, not lost.
   */
  refused(): Promise<void>;
  /** Records usage samples. Must not reject: a response is not lost because its sample could not be stored. */
  observe(usage: readonly MethodUsage[]): Promise<void>;
}
