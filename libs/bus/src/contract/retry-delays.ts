const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/**
 * Each failed attempt waits in the next tier; after the last one the message becomes a dead letter. Eight hours in
 * total.
 */
export const DEFAULT_RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  HOUR,
  6 * HOUR,
];

/** The shortest tier of at least `afterMs`, else the longest. `tiersMs` is ascending. */
export function tierFor(afterMs: number, tiersMs: readonly number[]): number {
  const tierMs = tiersMs.find((delayMs) => delayMs >= afterMs) ?? tiersMs.at(-1);
  if (tierMs === undefined) throw new TypeError('A bus needs at least one retry delay');
  return tierMs;
}

/** `5s`, `2m`, `1h`: part of a queue name and a metric label. */
export function tierName(delayMs: number): string {
  if (delayMs % HOUR === 0) return `${delayMs / HOUR}h`;
  if (delayMs % MINUTE === 0) return `${delayMs / MINUTE}m`;
  if (delayMs % SECOND === 0) return `${delayMs / SECOND}s`;
  return `${delayMs}ms`;
}
