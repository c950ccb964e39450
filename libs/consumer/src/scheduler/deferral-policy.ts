/** How many events of one lane may be in a tier at once: two steady flows of 400 per second. */
const QUOTAS = [
  { delayMs: 5_000, most: 2_000 },
  { delayMs: 30_000, most: 12_000 },
];
const MAX_DELAY_MS = 120_000;

/**
 * Backpressure: when events that exceed a lane's capacity are redelivered. Soon, because the lane may free capacity
 * within seconds; but each redelivery costs the bus as much as a new event, so a large flood comes back slowly, and
 * faster as it shrinks.
 */
export class DeferralPolicy {
  private readonly flows = QUOTAS.map((quota) => ({ ...quota, since: -Infinity, count: 0 }));

  /** @returns the delay in milliseconds of the next event */
  nextDelayMs(now: number): number {
    for (const flow of this.flows) {
      if (now - flow.since >= flow.delayMs) [flow.since, flow.count] = [now, 0];
      flow.count += 1;
      if (flow.count <= flow.most) return flow.delayMs;
    }
    return MAX_DELAY_MS;
  }
}
