import { Lane, type LaneRules } from './lane.js';
import type { LaneReceipt } from './pending-entry.js';

/** Decides which portal is worked on next: a lane for each that has work, at most one batch of it in hand, in turns. */
export class Lanes<H extends LaneRules, R extends LaneReceipt> {
  private readonly lanes = new Map<string, Lane<H, R>>();
  /** Lanes that have work and are not in hand; the order of insertion is the order of turns. */
  private readonly waiting = new Set<Lane<H, R>>();
  private readonly inHand = new Set<Lane<H, R>>();

  /** The portal's lane, made when it has none; to be given work before anything else happens. */
  of(memberId: string): Lane<H, R> {
    let lane = this.lanes.get(memberId);
    if (!lane) {
      lane = new Lane(memberId);
      this.lanes.set(memberId, lane);
    }
    if (!this.inHand.has(lane)) this.waiting.add(lane);
    return lane;
  }

  /**
   * The lane whose turn it is, now in hand until `release`; undefined when none waits that `admits` lets through.
   * Those that it does not keep their turn.
   */
  next(admits: (memberId: string) => boolean = () => true): Lane<H, R> | undefined {
    for (const lane of this.waiting) {
      if (!admits(lane.memberId)) continue;
      this.waiting.delete(lane);
      this.inHand.add(lane);
      return lane;
    }
    return undefined;
  }

  /** No longer in hand; the lane goes to the end of the row, or away when it has no work. */
  release(lane: Lane<H, R>): void {
    this.inHand.delete(lane);
    if (lane.isEmpty) this.lanes.delete(lane.memberId);
    else this.waiting.add(lane);
  }

  /** Of all lanes: how many there are, how many events they hold, and when the oldest of those was received. */
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
