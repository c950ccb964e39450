/** So many batches in a row, with none that worked among them, are no longer the fault of what is in them. */
const failuresToPause = 5;
const firstProbeMs = 1_000;
const longestProbeMs = 30_000;

/**
 * Everything fails, as when the database is down: then it is not the events' fault, and the backlog must not be sent up
 * the tiers for it. One event at a time is tried, ever less often, until one works. A portal that has not failed
 * meanwhile is let through, with one event: perhaps only the others are broken. What is tried spends an attempt, so that
 * one broken event in a quiet night still ends as a dead letter.
 */
export class Outage {
  readonly #failed = new Set<string>();
  #failures = 0;
  #probes = 0;
  #nextProbeAt = 0;
  /** The portal whose event is being tried. */
  #probing: string | undefined;
  #probingSince = 0;

  get isOn(): boolean {
    return this.#failures >= failuresToPause;
  }

  /** Whether the portal's next batch may begin; while an outage is on, `begin` must follow. */
  admits(memberId: string, now: number): boolean {
    if (!this.isOn || !this.#failed.has(memberId)) return true;
    return !this.#isProbing(now) && now >= this.#nextProbeAt;
  }

  begin(memberId: string, now: number): void {
    if (!this.isOn || !this.#failed.has(memberId)) return;
    this.#probing = memberId;
    this.#probingSince = now;
  }

  /** Something came of a batch, be it a refusal for good. @returns whether that ended an outage */
  worked(): boolean {
    const wasOn = this.isOn;
    this.#failed.clear();
    [this.#failures, this.#probes, this.#probing] = [0, 0, undefined];
    return wasOn;
  }

  /** All of a batch failed, and may not the next time. @returns whether that began an outage */
  failed(memberId: string, now: number): boolean {
    const wasOn = this.isOn;
    if (this.#probing === memberId) {
      this.#probes += 1;
      this.#probing = undefined;
    }
    this.#failed.add(memberId);
    this.#failures += 1;
    this.#nextProbeAt = now + Math.min(longestProbeMs, firstProbeMs * 2 ** Math.min(this.#probes, 10));
    return !wasOn && this.isOn;
  }

  /** What `begin` was told of is over, whether or not it said anything. */
  tried(memberId: string): void {
    if (this.#probing === memberId) this.#probing = undefined;
  }

  /** Milliseconds until a portal that has failed may be tried; undefined while there is no outage. */
  probeInMs(now: number): number | undefined {
    if (!this.isOn) return undefined;
    if (this.#probing === undefined) return Math.max(0, this.#nextProbeAt - now);
    return Math.max(0, this.#probingSince + longestProbeMs - now);
  }

  /** A handler that hangs must not be what everybody waits for. */
  #isProbing(now: number): boolean {
    return this.#probing !== undefined && now - this.#probingSince < longestProbeMs;
  }
}
