/** `live` answers an event that somebody waits for; `bulk` is a backfill or a reconciliation, which can wait. */
export type Priority = 'live' | 'bulk';

/** What an answer says of one method's operating time (`limits.md`). */
export interface MethodUsage {
  /** As it was called, in lower case. */
  readonly method: string;
  /** Seconds that it has cost this application in the last ten minutes; undefined where the answer does not say. */
  readonly operatingSeconds: number | undefined;
  /** Milliseconds until the oldest of these minutes is forgotten. */
  readonly resetsInMs: number | undefined;
  /** It was refused with `OPERATION_TIME_LIMIT`. */
  readonly exhausted: boolean;
}

/** Keeps all requests to one portal within its limits; shared by everything that calls this portal from one address. */
export interface RateLimiter {
  /**
   * Those of these methods that must not be called now, and for how many milliseconds: their operating time is used
   * up. The others may be called.
   */
  throttled(methods: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, number>>;
  /**
   * Resolves when one HTTP request may be sent, of these methods (for a batch: those of its commands).
   * @throws Bitrix24Error OPERATION_TIME_LIMIT when one of them became paused since `paused` was asked; what a store
   *   that several processes share throws; the signal's reason
   */
  admit(request: { work: Priority; methods: readonly string[] }, signal?: AbortSignal): Promise<void>;
  /**
   * A request was refused with `QUERY_LIMIT_EXCEEDED`: somebody else calls this portal from our address. Must not
   * reject: the call is asked for again, not lost.
   */
  refused(): Promise<void>;
  /** What an answer said. Must not reject: an answer is not lost because its bill could not be kept. */
  observe(usage: readonly MethodUsage[]): Promise<void>;
}
