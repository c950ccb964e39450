import { DEFAULT_PREFETCH, type Delivery, formatEventName, type PortalEvent, type Receipt } from '@relay/bus';
import { waitAtMost } from '@relay/platform';
import type { CrashLog } from '../poison/poison-detector.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { LaneProcessor, type LaneWait, type PortalLane } from './lane-processor.js';
import {
  type AdaptiveBatching,
  BatchLinger,
  DEFAULT_BATCHING,
  ExpectedReturns,
  LaneTimers,
  MAX_RETURN_WAIT_MS,
  StallWatch,
  WaitBudget,
} from './lane-timing.js';
import { Lanes } from './lanes.js';
import type { Batch, EventHandler, RunOptions } from './run-batch.js';
import { Settler, type SettlerOptions } from './settler.js';

export interface DispatcherOptions extends SettlerOptions, Pick<RunOptions, 'handlerNoticeMs'> {
  handlers: readonly EventHandler[];
  crashLog: CrashLog;
  /** Maximum batches in flight, each of another portal. A batch spends most of its time waiting for that portal. */
  maxBatches?: number;
  /**
   * Maximum unacknowledged deliveries per shard, as passed to the bus. One portal may hold 0.9 of it; the excess is
   * deferred.
   */
  prefetch?: number | undefined;
  /** Milliseconds that a lane waits for its portal before its events are deferred. */
  holdMs?: number;
  batching?: AdaptiveBatching;
  /** How long `drain` waits for batches in flight. Default one minute. */
  drainWithinMs?: number;
}

/** What a consumer process has taken from the bus and not settled yet, at one moment. */
export interface DispatcherState {
  /** Portals with work, waiting or in flight. */
  lanes: number;
  /** Events that wait in lanes or are in flight, each counted although merged with others. */
  waiting: number;
  /** Batches in flight. */
  batches: number;
  /** The circuit breaker is open: one event at a time is tried. */
  isPaused: boolean;
  /** Unix time in milliseconds at which the gateway received the oldest of them; undefined when there are none. */
  oldestAt: number | undefined;
  /** Events that were put off because their lane was full, and that are not due again yet. */
  deferred: number;
}

/** The dispatcher state, with messages that the process does not take. */
export interface ConsumerState extends DispatcherState {
  /** Messages written by a newer version: they are redelivered until a process can read them. */
  newer: number;
}

/** What a process tells of its work. */
export interface WorkReport {
  /** Events handled since its start. */
  done: number;
  /** The portals of which it has the most events, the most first. */
  largest: { memberId: string; events: number }[];
}

const DEFAULT_MAX_BATCHES = 128;
/** Share of a shard's prefetch for one lane: a flood leaves capacity for the portals that share its shard. */
const LANE_SHARE = 0.9;
/** After a full batch of a full lane: what it held back in the bus comes in the place of its deliveries. */
const REFILL_MS = 250;
/** At least, of an event for whose data there is no room. */
const LARGE_DEFERRAL_MS = 30_000;
const MAX_LARGEST = 10;
const DEFAULT_HOLD_MS = 60_000;
/** Below the grace period of docker-compose.yml, so that the remaining steps of the shutdown also complete. */
const DEFAULT_DRAIN_MS = 60_000;
/** Settling needs the bus, which may be down: what is not settled by then is requeued when the connection closes. */
const SETTLE_TIMEOUT_MS = 5_000;

/**
 * This process has no handler for the delivery: bindings remain when a consumer gives up an event, and during a
 * rolling update older processes also receive events that only the newer version handles. Retried, so that the newer
 * one gets it.
 */
class NoHandlerError extends Error {
  override readonly name = 'NoHandlerError';
  readonly code = 'NO_HANDLER';
  readonly recovery = 'retry';
}

/**
 * Turns deliveries into per-portal batches for the handlers, and settles every delivery by the result of its entry.
 */
export class Dispatcher {
  private readonly lanes = new Lanes<EventHandler, Receipt>();
  private readonly handlers = new Map<string, EventHandler>();
  private readonly settler: Settler;
  private readonly laneProcessor: LaneProcessor;
  private readonly waitBudget: WaitBudget;
  private readonly batching: BatchLinger;
  private readonly returns: ExpectedReturns;
  /** A lane waits for returns, in total, no longer than this before its next batch. */
  private readonly returnWaits = new WaitBudget(MAX_RETURN_WAIT_MS);
  private readonly circuitBreaker = new CircuitBreaker();
  private readonly stallWatch = new StallWatch(() => this.lanes.summary().lanes === 0);
  private readonly running = new Set<Promise<void>>();
  /** Lanes that linger to collect a larger batch. */
  private readonly lingerTimers = new LaneTimers();
  /** Until when lanes wait that have nothing but events of the portal's offline queue, which are late anyway. */
  private readonly offlineUntil = new Map<string, number>();
  private readonly offlineTimers = new LaneTimers();
  /** Lanes whose portal cannot be called now. */
  private readonly waits = new LaneTimers();
  /** Event names already logged as unhandled. */
  private readonly unhandled = new Set<string>();
  private probe: NodeJS.Timeout | undefined;
  private resumption: NodeJS.Timeout | undefined;
  private pumpIsDue = false;
  private draining = false;

  private readonly offlineMs: number;

  constructor(private readonly options: DispatcherOptions) {
    const batching = options.batching ?? DEFAULT_BATCHING;
    this.offlineMs = batching.offlineMs;
    this.returns = new ExpectedReturns(batching.lingerPerEntryMs);
    this.settler = new Settler({
      ...options,
      onReturn: (memberId, afterMs, isRepeat) => this.returns.expect(memberId, afterMs, Date.now(), isRepeat),
    });
    this.waitBudget = new WaitBudget(options.holdMs ?? DEFAULT_HOLD_MS);
    this.laneProcessor = new LaneProcessor({
      ...options,
      settler: this.settler,
      waitBudget: this.waitBudget,
      circuitBreaker: this.circuitBreaker,
      isDraining: () => this.draining,
      expectsFresh: (memberId) => this.returns.hasFresh(memberId, Date.now()),
    });
    this.batching = new BatchLinger(batching);
    for (const handler of options.handlers) {
      for (const name of handler.names) this.handlers.set(name, handler);
    }
  }

  receive({ event, receipt }: Delivery): void {
    if (this.draining) return;
    this.settler.note(receipt, event);
    this.stallWatch.start();
    const handler =
      this.handlers.get(formatEventName(event.name, event.entityTypeId)) ?? this.handlers.get(event.name);
    if (!handler) {
      this.retryUnhandled(formatEventName(event.name, event.entityTypeId), receipt);
      return;
    }
    const lane = this.lanes.of(event.memberId);
    const wasEmpty = lane.isEmpty;
    const hadFresh = lane.hasFresh;
    const now = Date.now();
    const isRepeat = lane.isRepeat(handler, event, now);
    const isComplete = this.returns.arrived(event.memberId, now, isRepeat);
    if (!isRepeat && lane.unsettled >= this.laneCap) this.deferRepeat(lane, now);
    if (!this.addTo(lane, handler, event, receipt)) {
      this.defer(lane, receipt, now, isRepeat);
      // The lane may be a new one, which has nothing.
      this.schedulePump();
      return;
    }
    if (event.source !== 'offline' || !handler.merge) this.endOffline(event.memberId);
    else if (wasEmpty) this.offlineUntil.set(event.memberId, performance.now() + this.offlineMs);
    if (isComplete || this.isAtCap(lane)) this.lingerTimers.end(event.memberId);
    // What is no repeat does not wait for repeats.
    else if (!handler.merge || (!isRepeat && !hadFresh)) this.lingerTimers.check(event.memberId);
    if (this.isAtCap(lane)) this.endOffline(event.memberId);
    this.schedulePump();
  }

  /** The state of the portal has changed: retries its waiting lane now. */
  wake(memberId: string): void {
    this.waits.end(memberId);
  }

  state(): DispatcherState {
    return {
      ...this.lanes.summary(),
      batches: this.running.size,
      isPaused: this.circuitBreaker.isOpen,
      deferred: this.settler.deferred(Date.now()),
    };
  }

  report(): WorkReport {
    return { done: this.settler.done, largest: this.lanes.largest(MAX_LARGEST) };
  }

  /**
   * Starts no more batches. Resolves when those in flight are finished and settled, or on timeout: then they stay
   * unsettled, and their events are redelivered.
   */
  async drain(): Promise<void> {
    this.draining = true;
    clearTimeout(this.probe);
    clearTimeout(this.resumption);
    this.stallWatch.end();
    this.lingerTimers.endAll();
    this.offlineTimers.endAll();
    this.waits.endAll();
    const { consumer, log, drainWithinMs = DEFAULT_DRAIN_MS } = this.options;
    await waitAtMost(Promise.all(this.running), drainWithinMs);
    const { batches, waiting } = this.state();
    if (batches > 0)
      log.warn(
        { event: 'consumer.drain.timeout', consumer, batches },
        'batches did not end in time; their events return to the bus',
      );
    if (waiting > 0) log.info({ consumer, events: waiting }, 'waiting events return to the bus');
    await this.settler.settled(SETTLE_TIMEOUT_MS);
  }

  private retryUnhandled(name: string, receipt: Receipt): void {
    if (!this.unhandled.has(name)) {
      this.unhandled.add(name);
      this.options.log.warn(
        { event: 'consumer.event.unhandled', consumer: this.options.consumer, eventName: name },
        'this process has no handler for a delivered event',
      );
    }
    this.settler.settle(undefined, [receipt], {
      ok: false,
      error: new NoHandlerError(`Nothing here handles ${name}`),
    });
  }

  /** Makes room for an event whose entity was in no batch yet. */
  private deferRepeat(lane: PortalLane, now: number): void {
    for (const receipt of lane.takeRepeat()?.receipts ?? []) this.defer(lane, receipt, now, true);
  }

  private defer(
    { memberId, unsettled, work }: PortalLane,
    receipt: Receipt,
    now: number,
    isRepeat: boolean,
  ): void {
    // Not because of its number: what is large costs the bus as much each time.
    const minMs = unsettled < this.laneCap ? LARGE_DEFERRAL_MS : 0;
    this.settler.defer(
      memberId,
      receipt,
      this.returns.deferralMs(memberId, now, isRepeat, work, minMs),
      isRepeat,
    );
  }

  /** @returns false when the lane holds as many events, or as much of their data, as it may */
  private addTo(lane: PortalLane, handler: EventHandler, event: PortalEvent, receipt: Receipt): boolean {
    if (lane.unsettled < this.laneCap && lane.add(handler, event, receipt)) return true;
    // After a connection loss the same messages are redelivered.
    lane.dropLost();
    return lane.unsettled < this.laneCap && lane.add(handler, event, receipt);
  }

  /** Its next batch would not grow any more. */
  private isAtCap(lane: PortalLane): boolean {
    if (lane.isFull) return true;
    // What is no repeat still finds a place, and makes the batch worth more.
    return lane.unsettled >= this.laneCap && !(lane.hasFresh && lane.hasRepeats);
  }

  /** Maximum events of one portal that wait or are in flight. */
  private get laneCap(): number {
    return Math.max(1, Math.floor(LANE_SHARE * (this.options.prefetch ?? DEFAULT_PREFETCH)));
  }

  /** Runs after everything that arrived together, so that a burst makes one batch instead of a batch of one first. */
  private schedulePump(): void {
    if (this.pumpIsDue) return;
    this.pumpIsDue = true;
    setImmediate(() => {
      this.pumpIsDue = false;
      this.pump();
    });
  }

  private pump(): void {
    const pauseMs = this.stallWatch.pauseMs(Date.now());
    if (pauseMs > 0 && !this.draining) {
      clearTimeout(this.resumption);
      this.resumption = setTimeout(() => this.pump(), pauseMs);
      return;
    }
    const { maxBatches = DEFAULT_MAX_BATCHES } = this.options;
    while (!this.draining && !this.laneProcessor.isExclusive && this.running.size < maxBatches) {
      const lane = this.lanes.next((memberId) => this.circuitBreaker.allows(memberId, Date.now()));
      if (!lane) break;
      this.circuitBreaker.begin(lane.memberId, Date.now());
      const run = this.work(lane).finally(() => {
        this.running.delete(run);
        this.circuitBreaker.onHalfOpenDone(lane.memberId);
        this.schedulePump();
      });
      this.running.add(run);
    }
    this.scheduleProbe();
  }

  private scheduleProbe(): void {
    clearTimeout(this.probe);
    const probeInMs = this.draining ? undefined : this.circuitBreaker.probeInMs(Date.now());
    if (probeInMs !== undefined) this.probe = setTimeout(() => this.pump(), probeInMs + 1);
  }

  private async work(lane: PortalLane): Promise<void> {
    if (this.waitForOffline(lane) || this.waitForReturns(lane)) return;
    const beganAt = performance.now();
    const { batch, waiting } = await this.laneProcessor.next(lane);
    if (waiting) this.wait(lane, waiting);
    else if (batch) this.linger(lane, batch, beganAt);
    else this.lanes.release(lane);
  }

  /** Pauses only this lane. When its wait budget is spent, everything in it is deferred. */
  private wait(lane: PortalLane, { error, ms }: LaneWait): void {
    const until = Date.now() + ms;
    if (!this.waitBudget.extend(lane.memberId, ms, Date.now())) {
      for (const { receipts } of lane.empty())
        this.settler.settle(lane.memberId, receipts, { ok: false, error });
      this.lanes.release(lane);
      return;
    }
    this.waits.start(
      lane.memberId,
      () => (this.draining ? 0 : until - Date.now()),
      () => {
        this.lanes.release(lane);
        this.schedulePump();
      },
    );
  }

  /** @returns whether the lane waits for more of the portal's offline queue, before its next batch */
  private waitForOffline(lane: PortalLane): boolean {
    const { memberId } = lane;
    const remainingMs = (): number => {
      // A probe of the circuit breaker does not wait.
      if (this.draining || this.circuitBreaker.isOpen) return 0;
      return (this.offlineUntil.get(memberId) ?? 0) - performance.now();
    };
    if (remainingMs() <= 0) {
      this.offlineUntil.delete(memberId);
      return false;
    }
    this.offlineTimers.start(memberId, remainingMs, () => {
      this.lanes.release(lane);
      this.schedulePump();
    });
    return true;
  }

  /** Something waits in its lane that is not late. */
  private endOffline(memberId: string): void {
    this.offlineUntil.delete(memberId);
    this.offlineTimers.end(memberId);
  }

  /** @returns whether the lane waits for events that come back together, before its next batch */
  private waitForReturns(lane: PortalLane): boolean {
    const { memberId } = lane;
    const now = Date.now();
    const since = this.returnWaits.since(memberId) ?? now;
    const remainingMs = (at = Date.now()): number => {
      // A probe of the circuit breaker does not wait.
      if (this.draining || this.circuitBreaker.isOpen || this.isAtCap(lane)) return 0;
      const maxMs = lane.hasUnmergeable ? this.batching.shortMs : this.returnWaits.maxMs;
      return Math.min(this.returns.remainingMs(memberId, at, lane.hasFresh), since + maxMs - at);
    };
    const ms = remainingMs(now);
    if (ms <= 0) {
      this.returnWaits.end(memberId);
      return false;
    }
    this.returnWaits.extend(memberId, ms, now);
    this.lingerTimers.start(
      memberId,
      () => remainingMs(),
      () => {
        this.lanes.release(lane);
        this.schedulePump();
      },
    );
    return true;
  }

  /** Lets the portal's lane linger, so that events that arrive close together are handled together. */
  private linger(lane: PortalLane, { memberId, handler, entries }: Batch, beganAt: number): void {
    const events = entries.reduce((sum, { receipts }) => sum + receipts.length, lane.unsettled);
    const wasFull = entries.length >= handler.maxEntries && events >= this.laneCap;
    const refilledAt = performance.now() + (wasFull ? REFILL_MS : 0);
    const remainingMs = (): number => {
      if (!handler.merge || this.draining || this.isAtCap(lane)) return 0;
      const now = performance.now();
      const pending = lane.hasUnmergeable ? 0 : lane.entries;
      const ms = this.batching.remainingMs(memberId, now - beganAt, entries.length, pending);
      return lane.hasUnmergeable ? ms : Math.max(refilledAt - now, ms);
    };
    this.lingerTimers.start(memberId, remainingMs, () => {
      this.batching.released(memberId, !lane.isEmpty);
      this.lanes.release(lane);
      this.schedulePump();
    });
  }
}
