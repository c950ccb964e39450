import { LaneTotals } from './lane-totals.js';
import { Lane, type LaneRules } from './lane.js';
import type { LaneReceipt } from './pending-entry.js';

/** Decides which portal is next: one lane per portal with work, at most one batch of it in flight, round-robin. */
export class Lanes<H extends LaneRules, R extends LaneReceipt> {
  private readonly lanes = new Map<string, Lane<H, R>>();
  /** Lanes that have work and are not in flight; the order of insertion is the round-robin order. */
  private readonly waiting = new Set<Lane<H, R>>();
  private readonly inFlight = new Set<Lane<H, R>>();

  constructor(private readonly totals = new LaneTotals()) {}

  /** The portal's lane, created on demand; the caller must add work at once. */
  of(memberId: string): Lane<H, R> {
    let lane = this.lanes.get(memberId);
    if (!lane) {
      lane = new Lane(memberId, this.totals);
      this.lanes.set(memberId, lane);
    }
    if (!this.inFlight.has(lane)) this.waiting.add(lane);
    return lane;
  }

  /**
   * The next lane in turn, in flight until `release`; undefined when `isAllowed` rejects all waiting lanes. Rejected
   * lanes keep their position.
   */
  next(isAllowed: (memberId: string) => boolean = () => true): Lane<H, R> | undefined {
    for (const lane of this.waiting) {
      if (!isAllowed(lane.memberId)) continue;
      this.waiting.delete(lane);
      this.inFlight.add(lane);
      return lane;
    }
    return undefined;
  }

  /** The lane is no longer in flight: it goes to the end of the row, or is removed when it has no work. */
  release(lane: Lane<H, R>): void {
    this.inFlight.delete(lane);
    lane.handled();
    if (lane.isEmpty) this.lanes.delete(lane.memberId);
    else this.waiting.add(lane);
  }

  /** The portals with the most events, waiting or in flight, the most first. Visits each lane, and no event. */
  largest(limit: number): { memberId: string; events: number }[] {
    return [...this.lanes.values()]
      .map(({ memberId, unsettled }) => ({ memberId, events: unsettled }))
      .filter(({ events }) => events > 0)
      .toSorted((one, other) => other.events - one.events)
      .slice(0, limit);
  }

  /** Totals of all lanes: their number, their events, and when the oldest event was received. */
  summary(): { lanes: number; waiting: number; oldestAt: number | undefined } {
    return { lanes: this.lanes.size, waiting: this.totals.events, oldestAt: this.totals.oldestAt };
  }
}
