import { Lane, type LaneRules } from './lane.js';
import type { LaneReceipt } from './pending-entry.js';

/** Decides which portal is next: one lane per portal with work, at most one batch of it in flight, round-robin. */
export class Lanes<H extends LaneRules, R extends LaneReceipt> {
  private readonly lanes = new Map<string, Lane<H, R>>();
  /** Lanes that have work and are not in flight; the order of insertion is the round-robin order. */
  private readonly waiting = new Set<Lane<H, R>>();
  private readonly inFlight = new Set<Lane<H, R>>();

  /** The portal's lane, created on demand; the caller must add work at once. */
  of(memberId: string): Lane<H, R> {
    let lane = this.lanes.get(memberId);
    if (!lane) {
      lane = new Lane(memberId);
      this.lanes.set(memberId, lane);
    }
    if (!this.inFlight.has(lane)) this.waiting.add(lane);
    return lane;
  }

  /**
   * The next lane in turn, in flight until `release`; undefined when `admits` rejects all waiting lanes. Rejected
   * lanes keep their position.
   */
  next(admits: (memberId: string) => boolean = () => true): Lane<H, R> | undefined {
    for (const lane of this.waiting) {
      if (!admits(lane.memberId)) continue;
      this.waiting.delete(lane);
      this.inFlight.add(lane);
      return lane;
    }
    return undefined;
  }

  /** The lane is no longer in flight: it goes to the end of the row, or is removed when it has no work. */
  release(lane: Lane<H, R>): void {
    this.inFlight.delete(lane);
    if (lane.isEmpty) this.lanes.delete(lane.memberId);
    else this.waiting.add(lane);
  }

  /** Totals of all lanes: their number, their events, and when the oldest event was received. */
  summary(): { lanes: number; waiting: number; oldestAt: number | undefined } {
    let waiting = 0;
    let oldestAt: number | undefined;
    for (const lane of this.lanes.values()) {
      waiting += lane.held;
      const laneOldestAt = lane.oldestAt;
      if (laneOldestAt !== undefined) oldestAt = Math.min(oldestAt ?? Infinity, laneOldestAt);
    }
    return { lanes: this.lanes.size, waiting, oldestAt };
  }
}
