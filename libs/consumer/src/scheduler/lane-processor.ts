import { type Receipt, toFailure } from '@relay/bus';
import { type PoisonProbe, PoisonDetector } from '../poison/poison-detector.js';
import { type CrashLog, CrashLogUnavailableError } from '../poison/poison-detector.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { ExclusiveGate } from './exclusive-gate.js';
import type { WaitBudget } from './lane-timing.js';
import type { Lane } from './lane.js';
import {
  type Batch,
  type BatchResult,
  type Entry,
  type EventHandler,
  type Outcomes,
  runBatch,
  type RunOptions,
  healthOf,
} from './run-batch.js';
import type { Settler } from './settler.js';

export interface LaneProcessorOptions extends RunOptions {
  crashLog: CrashLog;
  settler: Settler;
  waitBudget: WaitBudget;
  circuitBreaker: CircuitBreaker;
  /** Whether the process shuts down: no further batch begins. */
  isDraining: () => boolean;
  /** Whether events of the portal are deferred whose entity was in no batch yet. */
  expectsFresh: (memberId: string) => boolean;
}

export type PortalLane = Lane<EventHandler, Receipt>;

/** Why the entries that a batch left in its lane wait, and for how many milliseconds. */
export interface LaneWait {
  error: unknown;
  ms: number;
}

/** Above this, batches are small: the data read for all of them is in memory. */
const MANY_ENTRIES_IN_FLIGHT = 16_000;
const SMALL_BATCH = 50;
/** Delay before a lane retries a failed write to the crash log. */
const CRASH_LOG_RETRY_MS = 500;
/** An exclusive batch waits for batches in flight, but not for a handler that hangs. */
const EXCLUSIVE_TIMEOUT_MS = 90_000;

/** Takes the next batch from a lane, runs its handler, and settles or requeues every entry by its result. */
export class LaneProcessor {
  private readonly poisonDetector: PoisonDetector;
  private readonly exclusiveGate = new ExclusiveGate(EXCLUSIVE_TIMEOUT_MS);
  private entriesInFlight = 0;

  constructor(private readonly options: LaneProcessorOptions) {
    this.poisonDetector = new PoisonDetector(options.crashLog, options.log);
  }

  /** A batch must run exclusively in this process: no other should begin. */
  get isExclusive(): boolean {
    return this.exclusiveGate.isExclusive;
  }

  /** @returns the batch that was handled, if any, and why its lane has to wait, if it does */
  async next(lane: PortalLane): Promise<{ batch?: Batch; waiting?: LaneWait }> {
    let batch: Batch | undefined;
    let probe: PoisonProbe | undefined;
    try {
      const begun = await this.poisonDetector.begin(lane);
      probe = begun;
      batch = lane.take(({ maxEntries }) => this.limit(begun?.limit(maxEntries) ?? maxEntries));
      if (batch) return { batch, ...(await this.run(lane, batch, probe)) };
      // All of it was returned to the bus: later events have not waited here yet.
      this.options.waitBudget.end(lane.memberId);
      await probe?.end();
    } catch (error) {
      if (!(error instanceof CrashLogUnavailableError)) throw error;
      // The batch has not begun, so no attempt was made.
      if (batch) lane.putBack(batch.handler, batch.entries);
      this.noteFailure(lane.memberId, error);
      // The record may have been written although no response came.
      await probe?.end();
      // While the breaker is open, one lane at a time is tried, which is rare enough.
      return this.options.circuitBreaker.isOpen ? {} : { waiting: { error, ms: CRASH_LOG_RETRY_MS } };
    }
    return {};
  }

  private limit(limit: number): number {
    if (this.options.circuitBreaker.isOpen) return 1;
    return this.entriesInFlight < MANY_ENTRIES_IN_FLIGHT ? limit : Math.min(limit, SMALL_BATCH);
  }

  private async run(
    lane: PortalLane,
    batch: Batch,
    probe: PoisonProbe | undefined,
  ): Promise<{ waiting?: LaneWait }> {
    const isExclusive = probe?.mustRunExclusively(batch) ?? false;
    const work = async (): Promise<{ waiting?: LaneWait }> => {
      const poison = isExclusive ? await probe?.poison(batch) : undefined;
      const result = poison
        ? { outcomes: allFailed(batch, poison), postponed: [] }
        : await runBatch(batch, this.options, (atLeast) => this.hasMore(lane, batch, atLeast));
      this.note(batch, result.outcomes);
      const waiting = this.settle(lane, batch, result);
      await probe?.end({ isPoison: poison !== undefined });
      return waiting ? { waiting } : {};
    };
    this.entriesInFlight += batch.entries.length;
    try {
      return await (isExclusive ? this.exclusiveGate.exclusive(work) : this.exclusiveGate.shared(work));
    } finally {
      this.entriesInFlight -= batch.entries.length;
      lane.handled();
    }
  }

  /** Repeats alone are not more: most find nothing to write, and what is put back would wait for them. */
  private hasMore(lane: PortalLane, { handler, memberId, entries }: Batch, atLeast = 1): boolean {
    // Each probe of the circuit breaker has one entry, so what is put back would wait for as many batches.
    if (this.options.isDraining() || this.options.circuitBreaker.isOpen) return false;
    const fresh = lane.freshWork(handler);
    if (atLeast > 1) return fresh >= atLeast && !entries.some(({ isPostponed }) => isPostponed);
    return fresh > 0 || (lane.hasWork(handler) && this.options.expectsFresh(memberId));
  }

  private note({ memberId }: Batch, outcomes: Outcomes): void {
    const { consumer, log } = this.options;
    const health = healthOf(outcomes);
    if (health === 'failing') this.noteFailure(memberId, firstError(outcomes));
    if (health === 'healthy' && this.options.circuitBreaker.onSuccess())
      log.info({ consumer }, 'handlers work again: the circuit breaker is closed');
  }

  private noteFailure(memberId: string, error: unknown): void {
    if (!this.options.circuitBreaker.onFailure(memberId, Date.now())) return;
    const { consumer, log } = this.options;
    log.error(
      { event: 'consumer.circuit.open', consumer, failure: toFailure(error) },
      'every batch fails: the circuit breaker is open, and one event at a time is tried',
    );
  }

  /**
   * The portal's next batch need not wait until this one is settled: settling only talks to the bus.
   * @returns why and how long the entries put back into the lane wait
   */
  private settle(
    lane: PortalLane,
    { handler, memberId }: Batch,
    { outcomes, postponed }: BatchResult,
  ): LaneWait | undefined {
    const since = this.options.waitBudget.since(memberId);
    const waiting: Entry[] = [];
    let why: LaneWait | undefined;
    for (const [entry, outcome] of outcomes) {
      const ms = this.options.settler.waitMs(entry.receipts, outcome, since, Date.now());
      if (outcome.ok || ms === undefined || ms > this.options.waitBudget.maxMs) {
        if (!outcome.ok) lane.forget(entry.key);
        this.options.settler.settle(memberId, entry.receipts, outcome);
      } else {
        waiting.push(entry);
        why = { error: outcome.error, ms: Math.max(ms, why?.ms ?? 0) };
      }
    }
    for (const entry of postponed) entry.isPostponed = true;
    // They come behind those, and so may be among the last ones again.
    for (const entry of waiting) entry.isPostponed = false;
    // The postponed ones before all others: so they are among those that fill a request.
    lane.putBack(handler, [...postponed, ...waiting]);
    if (!why) this.options.waitBudget.end(memberId);
    return why;
  }
}

function allFailed({ entries }: Batch, error: unknown): Outcomes {
  return new Map(entries.map((entry) => [entry, { ok: false, error }]));
}

function firstError(outcomes: Outcomes): unknown {
  for (const outcome of outcomes.values()) if (!outcome.ok) return outcome.error;
  return undefined;
}
