import { LRUCache } from 'lru-cache';
import type { LaneWork } from './lane.js';

/** How long a portal's lane collects events before its next batch, in milliseconds since the last batch began. */
export interface AdaptiveBatching {
  /** After the first batch of a lane that was idle. */
  firstMs: number;
  /** Multiplied by five from batch to batch while the lane does not become idle, up to this. */
  maxMs: number;
  /**
   * Upper bound, plus `lingerPerEntryMs` for each waiting entry: what a portal needs for them without a burst. Where many
   * wait, and fewer were in the last batch, what it needs for those.
   */
  lingerMs: number;
  lingerPerEntryMs: number;
  /** Of an idle lane, since the first event of a portal's offline queue: its records are published one by one, all at once. */
  offlineMs: number;
}

const GROWTH = 5;
/** They fill a request that writes: the beginning of a flood. Of its batches only the first two are small. */
const MANY_ENTRIES = 50;
/** The first batch of a flood has few; for as many the lane lingers at least. */
const FEW_ENTRIES = MANY_ENTRIES / 2;

/** Two requests per second, one to read and one for fifty writes (`settings/performance/limits.md`). */
export const DEFAULT_BATCHING: AdaptiveBatching = {
  firstMs: 200,
  maxMs: 4_000,
  lingerMs: 500,
  lingerPerEntryMs: 10,
  offlineMs: 2_000,
};

/**
 * Adaptive linger, like Kafka's `linger.ms`: under a steady flow, more events in fewer batches. Each batch costs the
 * portal one read request and one write request even when not full, and a flood would spend the whole burst allowance
 * on batches of thirty. Events for an idle lane, or after a batch that took longer than the linger, do not wait.
 */
export class BatchLinger {
  private readonly intervals = new Map<string, number>();

  constructor(private readonly batching: AdaptiveBatching) {}

  /** The longest linger of a lane with something that cannot be merged. */
  get shortMs(): number {
    return this.batching.lingerMs;
  }

  /**
   * Milliseconds that the lane still has to wait; 0 when its next batch may begin.
   * @param handled entries of the last batch
   * @param pending entries that wait
   */
  remainingMs(memberId: string, sinceBatchMs: number, handled: number, pending: number): number {
    const interval = Math.max(this.intervalOf(memberId), pending >= MANY_ENTRIES ? this.floodMs(handled) : 0);
    return Math.max(0, Math.min(interval, this.boundMs(pending)) - sinceBatchMs);
  }

  /** While the portal's rate limit lets in what the last batch asks for, no request that it would let in is lost. */
  private floodMs(handled: number): number {
    return Math.min(this.batching.maxMs, this.boundMs(Math.max(handled, FEW_ENTRIES)));
  }

  private boundMs(entries: number): number {
    return this.batching.lingerMs + this.batching.lingerPerEntryMs * entries;
  }

  /** The lane has finished a batch, with more work or idle. */
  released(memberId: string, hasWork: boolean): void {
    if (hasWork) {
      this.intervals.set(memberId, Math.min(this.intervalOf(memberId) * GROWTH, this.batching.maxMs));
    } else {
      this.intervals.delete(memberId);
    }
  }

  private intervalOf(memberId: string): number {
    return this.intervals.get(memberId) ?? this.batching.firstMs;
  }
}

/**
 * Limits how long lanes wait for a portal that is throttled or down. No lane waits longer than the budget in total:
 * RabbitMQ gives a shard to another process only when this one has settled all of it.
 */
export class WaitBudget {
  /** By portal, in milliseconds: since when its lane has waited without a batch that got through. */
  private readonly sinceByPortal = new Map<string, number>();

  constructor(readonly maxMs: number) {}

  since(memberId: string): number | undefined {
    return this.sinceByPortal.get(memberId);
  }

  /** Whether the lane may wait this long on top of what it has waited; else its wait in this process ends. */
  extend(memberId: string, waitMs: number, now: number): boolean {
    const since = this.sinceByPortal.get(memberId) ?? now;
    const mayWait = now + waitMs - since <= this.maxMs;
    if (mayWait) this.sinceByPortal.set(memberId, since);
    else this.sinceByPortal.delete(memberId);
    return mayWait;
  }

  end(memberId: string): void {
    this.sinceByPortal.delete(memberId);
  }
}

/**
 * How many events of one portal may be in a tier at once: each redelivery costs the bus as much as a new event. This gives
 * about 430 a second; only the tier of two minutes has no bound. Of the shorter tier only those count that are no repeats: repeats that become due in the
 * same seconds came from the longer one.
 */
const DEFERRALS = [
  { delayMs: 5_000, max: 500, isForRepeats: false },
  { delayMs: 30_000, max: 10_000, isForRepeats: true },
];
const MAX_DEFERRAL_MS = 120_000;
/** Of the time that a full lane has work for: what is deferred so long finds room, and the lane never runs empty meanwhile. */
const SHARE_OF_WORK = 0.7;

const NO_WORK: LaneWork = { ms: 0, msPerEvent: 0 };

interface ReturnGroup {
  dueAt: number;
  events: number;
  /** Of them, those that are no repeats. */
  fresh: number;
}

/** Portals with events in retry tiers that are remembered; of one that is not, the batches are smaller. */
const MAX_PORTALS_WITH_RETURNS = 10_000;
/** Longer than the longest deferral. What comes back later, after a long retry, is not remembered. */
const RETURNS_TTL_MS = 180_000;
/** Events that become due in the same quarter of a second are one group. */
const GROUP_MS = 250;
/** The portal's rate limit saves up the requests of 25 seconds, so that it loses none of them meanwhile. */
const MAX_GROUP_WAIT_MS = 6_000;
/** A tier delivers thousands within this time after they are due. */
const RETURN_GRACE_MS = 1_000;
/** For one group; a lane waits no longer in total before its next batch, however many groups follow each other. */
export const MAX_RETURN_WAIT_MS = MAX_GROUP_WAIT_MS + GROUP_MS + RETURN_GRACE_MS;

/**
 * Events of a portal that this process sent to a retry tier, and which come back together: a flood that exceeded its
 * lane, or a batch that failed as a whole. The lane waits for them as long as a portal needs for as many, so that they are
 * one batch again. Meanwhile the portal's rate limit saves up the requests that are not made.
 */
export class ExpectedReturns {
  private readonly groups = new LRUCache<string, ReturnGroup[]>({
    max: MAX_PORTALS_WITH_RETURNS,
    ttl: RETURNS_TTL_MS,
  });

  constructor(private readonly lingerPerEntryMs = DEFAULT_BATCHING.lingerPerEntryMs) {}

  /** An event of the portal comes back after about `afterMs`. */
  expect(memberId: string, afterMs: number, now: number, isRepeat = false): void {
    if (afterMs > MAX_DEFERRAL_MS) return;
    const groups = this.groups.get(memberId) ?? [];
    // Rounded down: none comes before it is due.
    const dueAt = Math.floor((now + afterMs) / GROUP_MS) * GROUP_MS;
    // After the longest deferral nothing is a repeat any more.
    const fresh = isRepeat && afterMs < MAX_DEFERRAL_MS ? 0 : 1;
    const group = groups.find((each) => each.dueAt === dueAt);
    if (group) {
      group.events += 1;
      group.fresh += fresh;
    } else {
      const ahead = groups.filter((each) => isAhead(each, now));
      this.groups.set(memberId, [...ahead, { dueAt, events: 1, fresh }]);
    }
  }

  /** Whether an event of the portal comes back that is no repeat. */
  hasFresh(memberId: string, now: number): boolean {
    return (this.groups.get(memberId) ?? []).some((group) => group.fresh > 0 && isAhead(group, now));
  }

  /**
   * Backpressure: milliseconds until an event that exceeds the lane's capacity should come back. Soon, because the lane
   * may free capacity within seconds; but a large flood comes back slowly, and faster as it shrinks.
   * @param isRepeat leaves the shorter tier to those that wait to be handled for the first time
   * @param work of the lane: what would find it full again comes later
   * @param minMs no shorter tier
   */
  deferralMs(memberId: string, now: number, isRepeat = false, work: LaneWork = NO_WORK, minMs = 0): number {
    const groups = this.groups.get(memberId) ?? [];
    const before = isRepeat
      ? groups.reduce((sum, { dueAt, fresh }) => sum + (dueAt > now ? fresh : 0), 0)
      : 0;
    const soonestMs = SHARE_OF_WORK * (work.ms + before * work.msPerEvent);
    let afterMs = 0;
    for (const [index, { delayMs, max, isForRepeats }] of DEFERRALS.entries()) {
      const [from, to] = [now + afterMs, now + delayMs];
      const longerMs = DEFERRALS[index + 1]?.delayMs ?? MAX_DEFERRAL_MS;
      afterMs = delayMs;
      if (longerMs <= soonestMs || delayMs < minMs) continue;
      const due = groups.filter(({ dueAt }) => dueAt > from && dueAt <= to);
      const count = due.reduce((sum, each) => sum + (isForRepeats ? each.events : each.fresh), 0);
      if (count < max && (isForRepeats || !isRepeat)) return delayMs;
    }
    return MAX_DEFERRAL_MS;
  }

  /** An event of the portal has come, be it one of them or a new one. @returns whether the lane need not wait any more */
  arrived(memberId: string, now: number, isRepeat = false): boolean {
    const groups = this.groups.get(memberId);
    const group = groups?.find(({ dueAt }) => dueAt <= now);
    if (!groups || !group) return false;
    group.events -= 1;
    // What was no repeat when it was sent may have become one.
    group.fresh = Math.max(0, Math.min(isRepeat ? group.fresh : group.fresh - 1, group.events));
    return group.events === 0 && this.remainingMs(memberId, now) === 0;
  }

  /**
   * Milliseconds that the portal's lane still waits for them; 0 when there are none, or too few for so long a wait.
   * @param hasFresh whether it holds some that are no repeats: these do not wait for repeats
   */
  remainingMs(memberId: string, now: number, hasFresh = false): number {
    const groups = this.groups.get(memberId);
    if (!groups) return 0;
    let count = 0;
    let waitMs = 0;
    // In the order in which they come: one group alone may be too small for a wait that several are worth.
    for (const { dueAt, events, fresh } of this.keep(memberId, groups, now)) {
      const more = hasFresh ? fresh : events;
      count += more;
      const worthMs = Math.min(MAX_GROUP_WAIT_MS, this.lingerPerEntryMs * count);
      if (more > 0 && dueAt - now <= worthMs)
        waitMs = dueAt + GROUP_MS - now + Math.min(worthMs, RETURN_GRACE_MS);
    }
    return waitMs;
  }

  private keep(memberId: string, groups: readonly ReturnGroup[], now: number): ReturnGroup[] {
    const left = groups
      .filter((group) => isAhead(group, now))
      .toSorted((one, other) => one.dueAt - other.dueAt);
    if (left.length > 0) this.groups.set(memberId, left);
    else this.groups.delete(memberId);
    return left;
  }
}

function isAhead({ dueAt, events }: ReturnGroup, now: number): boolean {
  return events > 0 && dueAt + GROUP_MS + RETURN_GRACE_MS > now;
}

/** Cool-down timers of lanes: one for each lane, whatever waits in it. */
export class LaneTimers {
  private readonly timers = new Map<string, { check: () => void; end: () => void }>();

  /**
   * @param remainingMs called at once and whenever the returned time has passed: 0 when the cool-down is over
   * @param onEnd called once, also when `end` comes first
   */
  start(memberId: string, remainingMs: () => number, onEnd: () => void): void {
    let timer: NodeJS.Timeout | undefined;
    const end = (): void => {
      clearTimeout(timer);
      this.timers.delete(memberId);
      onEnd();
    };
    const check = (): void => {
      clearTimeout(timer);
      const ms = remainingMs();
      if (ms > 0) timer = setTimeout(check, ms);
      else end();
    };
    this.timers.set(memberId, { check, end });
    check();
  }

  /** What `remainingMs` depends on has changed. */
  check(memberId: string): void {
    this.timers.get(memberId)?.check();
  }

  end(memberId: string): void {
    this.timers.get(memberId)?.end();
  }

  endAll(): void {
    for (const { end } of this.timers.values()) end();
  }
}

/** A bus gives the events of a process that is silent for so long to another one, after some seconds more. */
const STALL_MS = 3_000;
const TICK_MS = 500;
/** Until a process that was frozen has learnt what became of its connections. */
const PAUSE_MS = 1_000;

/** Notices that the process was stopped, or its event loop blocked: its shards may have another owner by now. */
export class StallWatch {
  private seenAt = 0;
  private pausedUntil = 0;
  private timer: NodeJS.Timeout | undefined;

  /** @param isIdle without work there is nothing to watch for */
  constructor(private readonly isIdle: () => boolean) {}

  /** There is work. */
  start(): void {
    if (this.timer) return;
    this.seenAt = Date.now();
    this.timer = setInterval(() => {
      if (this.isIdle()) this.end();
      else this.look(Date.now());
    }, TICK_MS).unref();
  }

  /** Milliseconds for which no batch may begin. */
  pauseMs(now: number): number {
    if (this.timer) this.look(now);
    return Math.max(0, this.pausedUntil - now);
  }

  end(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(now: number): void {
    if (now - this.seenAt > STALL_MS) this.pausedUntil = now + PAUSE_MS;
    // The clock was set back.
    if (now < this.seenAt) this.pausedUntil = 0;
    this.seenAt = now;
  }
}
