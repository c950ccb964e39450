const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** Each failed attempt waits in the next tier; after the last one the message is dead. Eight hours in all. */
export const defaultRetryDelaysMs: readonly number[] = [
  5 * second,
  30 * second,
  2 * minute,
  10 * minute,
  hour,
  6 * hour,
];

/** The shortest tier that waits at least `afterMs`; the longest when none does. `tiersMs` is ascending. */
export function tierFor(afterMs: number, tiersMs: readonly number[]): number {
  const tierMs = tiersMs.find((delayMs) => delayMs >= afterMs) ?? tiersMs.at(-1);
  if (tierMs === undefined) throw new TypeError('A bus needs at least one retry delay');
  return tierMs;
}

/** `5s`, `2m`, `1h`: part of a queue's name and the label of a metric. */
export function tierName(delayMs: number): string {
  if (delayMs % hour === 0) return `${delayMs / hour}h`;
  if (delayMs % minute === 0) return `${delayMs / minute}m`;
  if (delayMs % second === 0) return `${delayMs / second}s`;
  return `${delayMs}ms`;
}
