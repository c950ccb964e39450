/** What every other state of a portal has in the columns that belong to `suspended`. */
export const notSuspended = { suspendedReason: null, suspendedUntil: null, suspendedTimes: 0 } as const;
