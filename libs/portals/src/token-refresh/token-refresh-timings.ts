/** How long each part of a renewal may take; tests make them short. Milliseconds. */
export interface TokenRefreshTimings {
  /** For one exchange with the OAuth server. */
  exchangeTimeoutMs: number;
  /** Frees the lock of a process that stands still; longer than an exchange may take. */
  idleTimeoutMs: number;
  /** A holder needs one exchange; waiters have patience for two. */
  lockTimeoutMs: number;
  /** Between looks for the pair that a peer may still be storing, after the OAuth server refused the stored one. */
  peerPausesMs: readonly number[];
  /** Between tries to store a pair that the database did not take. */
  rescuePausesMs: readonly number[];
  /** A portal that answers 302 for ever must not make us ask the OAuth server for ever. */
  relocationEveryMs: number;
  /** Nor one that calls every token expired: after a renewal for such a reason, the least time until the next. */
  earlyRefreshEveryMs: number;
  /** For how long a portal must refuse its token before it has to authorize again. */
  rejectionGraceMs: number;
  /** Between tries of a token that was refused for so long. */
  probeEveryMs: number;
}

export const DEFAULT_TIMINGS: TokenRefreshTimings = {
  exchangeTimeoutMs: 15_000,
  idleTimeoutMs: 25_000,
  lockTimeoutMs: 30_000,
  // Three seconds in all: a peer stores within milliseconds, or its database connection was cut.
  peerPausesMs: [100, 200, 400, 800, 1_500],
  // Half a minute in all: a restart of the database.
  rescuePausesMs: [100, 400, 1_500, 3_000, 5_000, 10_000, 10_000],
  relocationEveryMs: 10 * 60_000,
  earlyRefreshEveryMs: 60_000,
  rejectionGraceMs: 30 * 60_000,
  probeEveryMs: 3_600_000,
};
