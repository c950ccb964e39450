/** Events of a burst are one sign of life: counted are slots in which at least one came, not events. */
export const SLOT_MS = 10 * 60_000;
export const HOUR_MS = 3_600_000;
const SLOTS_OF_HOUR = HOUR_MS / SLOT_MS;
const HOURS_OF_WEEK = 7 * 24;

/** Share of the latest week in the estimate: after a holiday of two weeks half is left of what was usual before. */
const LATEST_SHARE = 0.3;

/** A portal is unusually silent when so many busy slots would have been usual since it was heard of. */
const UNUSUAL_SLOTS = 4;
/** Nothing usual is known of a new or rarely used portal: it is tested after this time at the latest. */
export const MAX_SILENCE_MS = 24 * HOUR_MS;

/**
 * How often a portal usually posts: for each hour of the week the number of slots (0 to 6) with an event, as a mean in
 * which each week counts less than the one after it.
 */
export interface UsualRate {
  /** By hour of the week, in UTC, from the hour of 1970-01-01 (a Thursday); empty if nothing is known. */
  readonly rates: readonly number[];
  /** Hours since 1970: the first that is counted; null if none is. */
  readonly from: number | null;
  /** The first that is not counted yet. */
  readonly until: number | null;
}

/**
 * The estimate with all hours that have ended by `nowMs`.
 * @param busySlots slots of `SLOT_MS` since 1970 in which an event came
 * @param watchedSinceMs hours before it say nothing
 */
export function countHours(
  { rates, from, until }: UsualRate,
  busySlots: readonly number[],
  watchedSinceMs: number,
  nowMs: number,
): UsualRate {
  const end = Math.floor(nowMs / HOUR_MS);
  const begin = until ?? Math.ceil(watchedSinceMs / HOUR_MS);
  if (begin >= end) return { rates, from, until };
  const first = from ?? begin;
  const counted = Array.from({ length: HOURS_OF_WEEK }, (_, at) => rates[at] ?? 0);
  const busy = new Map<number, number>();
  for (const slot of new Set(busySlots)) {
    const hour = Math.floor(slot / SLOTS_OF_HOUR);
    busy.set(hour, (busy.get(hour) ?? 0) + 1);
  }
  // Beyond some months of silence nothing changes any more.
  for (let hour = Math.max(begin, end - 26 * HOURS_OF_WEEK); hour < end; hour += 1) {
    const weeks = Math.floor((hour - first) / HOURS_OF_WEEK) + 1;
    const share = Math.max(LATEST_SHARE, 1 / weeks);
    const at = hour % HOURS_OF_WEEK;
    counted[at] = (counted[at] ?? 0) * (1 - share) + (busy.get(hour) ?? 0) * share;
  }
  return { rates: counted, from: first, until: end };
}

/** When silence since `heardAtMs` becomes unusual: after forty minutes at the earliest, after `maxMs` at the latest. */
export function silentAt({ rates }: UsualRate, heardAtMs: number, maxMs = MAX_SILENCE_MS): number {
  const latest = heardAtMs + maxMs;
  let missing = UNUSUAL_SLOTS;
  for (let at = heardAtMs; at < latest;) {
    const hour = Math.floor(at / HOUR_MS);
    const rate = rates[hour % HOURS_OF_WEEK] ?? 0;
    const end = Math.min((hour + 1) * HOUR_MS, latest);
    const expected = (rate * (end - at)) / HOUR_MS;
    if (expected >= missing) return Math.ceil(at + (missing / rate) * HOUR_MS);
    missing -= expected;
    at = end;
  }
  return latest;
}
