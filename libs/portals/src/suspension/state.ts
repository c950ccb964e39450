/** What every other state of a portal has in the columns that belong to `suspended`, and to its end. */
export const notSuspended = {
  suspendedReason: null,
  suspendedUntil: null,
  suspendedTimes: 0,
  resumingSince: null,
} as const;
