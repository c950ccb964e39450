/** How many events of one lane may go to a tier while its delay passes: two steady flows of 400 a second. */
const QUOTAS = [
  { delayMs: 5_000, most: 2_000 },
  { delayMs: 30_000, most: 12_000 },
];
const MAX_DELAY_MS = 120_000;

/**
 * When events come again that a lane has no room for. Soon, since it may be done with what it holds within seconds; but
 * each return costs the bus as much as a new event, so a large flood comes back slowly, and ever faster as it shrinks.
 */
export class DeferralPolicy {
  private readonly flows = QUOTAS.map((quota) => ({ ...quota, since: -Infinity, count: 0 }));

  /** @returns the milliseconds after which the next event is to come again */
  nextDelayMs(now: number): number {
    for (const flow of this.flows) {
      if (now - flow.since >= flow.delayMs) [flow.since, flow.count] = [now, 0];
      flow.count += 1;
      if (flow.count <= flow.most) return flow.delayMs;
    }
    return MAX_DELAY_MS;
  }
}
