const second = 1_000;

/**
 * When events come again that a lane has no room for: soon, since it may be done with what it holds within seconds. The
 * more there are, the later, since each return costs the bus as much as an event that is new.
 * @param overflowed how many of the lane's were handed back since it last had no work
 * @returns milliseconds
 */
export function overflowDelayMs(overflowed: number): number {
  if (overflowed < 10_000) return 5 * second;
  return overflowed < 50_000 ? 30 * second : 120 * second;
}
