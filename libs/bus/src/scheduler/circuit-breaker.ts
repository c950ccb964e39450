/** So many batches in a row, with none that worked among them, are no longer the fault of what is in them. */
const FAILURE_THRESHOLD = 5;
const FIRST_PROBE_MS = 1_000;
const MAX_PROBE_MS = 30_000;

/**
 * Everything fails, as when the database is down: then it is not the events' fault, and the backlog must not be sent up
 * the tiers for it. One event at a time is tried, ever less often, until one works. A portal that has not failed
 * meanwhile is let through, with one event: perhaps only the others are broken. What is tried spends an attempt, so that
 * one broken event in a quiet night still ends as a dead letter.
 */
export class CircuitBreaker {
  private readonly failedPortals = new Set<string>();
  private failures = 0;
  private probes = 0;
  private nextProbeAt = 0;
  /** The portal whose event is being tried. */
  private probing: string | undefined;
  private probingSince = 0;

  get isOpen(): boolean {
    return this.failures >= FAILURE_THRESHOLD;
  }

  /** Whether the portal's next batch may begin; while an outage is on, `begin` must follow. */
  allows(memberId: string, now: number): boolean {
    if (!this.isOpen || !this.failedPortals.has(memberId)) return true;
    return !this.isProbing(now) && now >= this.nextProbeAt;
  }

  begin(memberId: string, now: number): void {
    if (!this.isOpen || !this.failedPortals.has(memberId)) return;
    this.probing = memberId;
    this.probingSince = now;
  }

  /** Something came of a batch, be it a refusal for good. @returns whether that ended an outage */
  onSuccess(): boolean {
    const wasOn = this.isOpen;
    this.failedPortals.clear();
    [this.failures, this.probes, this.probing] = [0, 0, undefined];
    return wasOn;
  }

  /** All of a batch failed, and may not the next time. @returns whether that began an outage */
  onFailure(memberId: string, now: number): boolean {
    const wasOn = this.isOpen;
    if (this.probing === memberId) {
      this.probes += 1;
      this.probing = undefined;
    }
    this.failedPortals.add(memberId);
    this.failures += 1;
    this.nextProbeAt = now + Math.min(MAX_PROBE_MS, FIRST_PROBE_MS * 2 ** Math.min(this.probes, 10));
    return !wasOn && this.isOpen;
  }

  /** What `begin` was told of is over, whether or not it said anything. */
  onHalfOpenDone(memberId: string): void {
    if (this.probing === memberId) this.probing = undefined;
  }

  /** Milliseconds until a portal that has failed may be tried; undefined while there is no outage. */
  probeInMs(now: number): number | undefined {
    if (!this.isOpen) return undefined;
    if (this.probing === undefined) return Math.max(0, this.nextProbeAt - now);
    return Math.max(0, this.probingSince + MAX_PROBE_MS - now);
  }

  /** A handler that hangs must not be what everybody waits for. */
  private isProbing(now: number): boolean {
    return this.probing !== undefined && now - this.probingSince < MAX_PROBE_MS;
  }
}
