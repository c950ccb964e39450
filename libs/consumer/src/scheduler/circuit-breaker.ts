/** After this many failed batches in a row, without a success between, the events are no longer to blame. */
const FAILURE_THRESHOLD = 5;
const FIRST_PROBE_MS = 1_000;
const MAX_PROBE_MS = 30_000;

/**
 * Opens when every batch fails, as when the database is down: the events are not to blame, so the backlog must not be
 * sent through the retry tiers. While open, one event at a time is tried (half-open), with growing delays, until one
 * succeeds. A portal that has not failed meanwhile may also run one event: perhaps only the other portals are broken.
 * A probe does spend an attempt, so that one broken event in a quiet night still ends as a dead letter.
 */
export class CircuitBreaker {
  private readonly failedPortals = new Set<string>();
  private failures = 0;
  private probes = 0;
  private nextProbeAt = 0;
  /** The portal whose event is the current probe. */
  private probing: string | undefined;
  private probingSince = 0;

  get isOpen(): boolean {
    return this.failures >= FAILURE_THRESHOLD;
  }

  /** Whether the portal's next batch may begin; while the breaker is open, `begin` must follow. */
  allows(memberId: string, now: number): boolean {
    if (!this.isOpen || !this.failedPortals.has(memberId)) return true;
    return !this.isProbing(now) && now >= this.nextProbeAt;
  }

  begin(memberId: string, now: number): void {
    if (!this.isOpen || !this.failedPortals.has(memberId)) return;
    this.probing = memberId;
    this.probingSince = now;
  }

  /** A batch had a result, even a permanent rejection. @returns whether this closed the breaker */
  onSuccess(): boolean {
    const wasOpen = this.isOpen;
    this.failedPortals.clear();
    [this.failures, this.probes, this.probing] = [0, 0, undefined];
    return wasOpen;
  }

  /** All of a batch failed with retryable errors. @returns whether this opened the breaker */
  onFailure(memberId: string, now: number): boolean {
    const wasOpen = this.isOpen;
    if (this.probing === memberId) {
      this.probes += 1;
      this.probing = undefined;
    }
    this.failedPortals.add(memberId);
    this.failures += 1;
    this.nextProbeAt = now + Math.min(MAX_PROBE_MS, FIRST_PROBE_MS * 2 ** Math.min(this.probes, 10));
    return !wasOpen && this.isOpen;
  }

  /** The batch passed to `begin` has ended, with or without a result. */
  onHalfOpenDone(memberId: string): void {
    if (this.probing === memberId) this.probing = undefined;
  }

  /** Milliseconds until a portal that has failed may be probed; undefined while the breaker is closed. */
  probeInMs(now: number): number | undefined {
    if (!this.isOpen) return undefined;
    if (this.probing === undefined) return Math.max(0, this.nextProbeAt - now);
    return Math.max(0, this.probingSince + MAX_PROBE_MS - now);
  }

  /** A handler that hangs must not block the probe of the other portals. */
  private isProbing(now: number): boolean {
    return this.probing !== undefined && now - this.probingSince < MAX_PROBE_MS;
  }
}
