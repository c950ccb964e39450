/** Timeouts and intervals of a token refresh in milliseconds; tests make them short. */
export interface TokenRefreshTimings {
  /** Of one request to the OAuth server. */
  exchangeTimeoutMs: number;
  /** Releases the lock of a stalled process; longer than `exchangeTimeoutMs`. */
  idleTimeoutMs: number;
  /** A holder needs one token request; waiters wait for two. */
  lockTimeoutMs: number;
  /**
   * Delays between reads for a pair that a peer may still be storing, after the OAuth server rejected the stored one.
   */
  peerPausesMs: readonly number[];
  /** Delays between attempts to store a new pair after a database error. */
  rescuePausesMs: readonly number[];
  /** Minimum interval of relocation requests: a portal may respond 302 permanently. */
  relocationEveryMs: number;
  /** Minimum interval of early refreshes: a portal may reject every token as expired. */
  earlyRefreshEveryMs: number;
  /** How long a portal must reject its token before it becomes `needs-reauth`. */
  rejectionGraceMs: number;
  /** Interval between probes with a rejected token. */
  probeEveryMs: number;
}

export const DEFAULT_TIMINGS: TokenRefreshTimings = {
  exchangeTimeoutMs: 15_000,
  idleTimeoutMs: 25_000,
  lockTimeoutMs: 30_000,
  // Three seconds in total: a peer stores within milliseconds, unless its database connection failed.
  peerPausesMs: [100, 200, 400, 800, 1_500],
  // Half a minute in total: a restart of the database.
  rescuePausesMs: [100, 400, 1_500, 3_000, 5_000, 10_000, 10_000],
  relocationEveryMs: 10 * 60_000,
  earlyRefreshEveryMs: 60_000,
  rejectionGraceMs: 30 * 60_000,
  probeEveryMs: 3_600_000,
};
