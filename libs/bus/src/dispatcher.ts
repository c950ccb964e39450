import { formatEventName } from '@relay/events';
import type { Log } from '@relay/platform';
import { waitAtMost } from './backoff.js';
import type { FailedEntry, PortalBatch } from './batch.js';
import { decide, type Outcome } from './decide.js';
import type { DispatcherState } from './dispatcher-state.js';
import type { Delivery, Receipt } from './event-bus.js';
import { heldTooLong, toFailure } from './failure.js';
import { type Gathering, GatheringTimes, usualGathering } from './gathering.js';
import { Lanes, type LaneBatch, type LaneRules, type PendingEntry } from './lanes.js';
import { batchEntries, batchSeconds, settledTotal } from './metrics.js';
import { defaultRetryDelaysMs } from './retry-delays.js';

/** One method under `@OnPortalEvents`, whatever number of events it is for. */
export interface EventHandler extends LaneRules {
  /** Base or suffixed, in upper case. */
  readonly names: readonly string[];
  /** Throws when the whole batch failed, else returns the entries that did. */
  handle(batch: PortalBatch): Promise<readonly FailedEntry[]>;
}

export interface DispatcherOptions {
  consumer: string;
  handlers: readonly EventHandler[];
  log: Log;
  /** Most batches in hand at once, each of another portal. Most of a batch's time is waiting for that portal. */
  maxBatches?: number;
  retryDelaysMs?: readonly number[];
  /** Days from its first failure that an event is held for a portal that cannot be called. Default 7. */
  holdDays?: number;
  gathering?: Gathering;
  /** How long `drain` waits for the batches in hand. Default a minute. */
  drainWithinMs?: number;
}

type Batch = LaneBatch<EventHandler, Receipt>;

const defaultMaxBatches = 32;
const defaultDrainMs = 60_000;
const defaultHoldDays = 7;
const dayMs = 24 * 3_600_000;
/** Settling needs the bus, which may be away: what is not settled by then goes back when the connection closes. */
const settleTimeoutMs = 5_000;

/**
 * A delivery came for which this process has no handler: bindings stay when a consumer gives up an event, and while a
 * version that wants a new one is rolled out, its older siblings get it too. Retried, so that the newer one gets it.
 */
class NoHandlerError extends Error {
  override readonly name = 'NoHandlerError';
  readonly code = 'NO_HANDLER';
  readonly recovery = 'retry';
}

/** Deliveries in, batches of one portal to the handlers, every delivery settled by what became of its entry. */
export class Dispatcher {
  readonly #lanes = new Lanes<EventHandler, Receipt>();
  readonly #handlers = new Map<string, EventHandler>();
  readonly #running = new Set<Promise<void>>();
  readonly #settling = new Set<Promise<void>>();
  /** For one line in the log each. */
  readonly #unhandled = new Set<string>();
  readonly #gathering: GatheringTimes;
  /** By portal: what ends the time in which its lane gathers events. */
  readonly #resting = new Map<string, () => void>();
  #pumpIsDue = false;
  #draining = false;

  constructor(private readonly options: DispatcherOptions) {
    this.#gathering = new GatheringTimes(options.gathering ?? usualGathering);
    for (const handler of options.handlers) {
      for (const name of handler.names) this.#handlers.set(name, handler);
    }
  }

  receive({ event, receipt }: Delivery): void {
    if (this.#draining) return;
    const handler =
      this.#handlers.get(formatEventName(event.name, event.entityTypeId)) ?? this.#handlers.get(event.name);
    if (!handler) {
      this.#refuse(formatEventName(event.name, event.entityTypeId), receipt);
      return;
    }
    this.#lanes.add(handler, event, receipt);
    if (this.#lanes.isFull(event.memberId)) this.#resting.get(event.memberId)?.();
    this.#schedulePump();
  }

  #refuse(name: string, receipt: Receipt): void {
    if (!this.#unhandled.has(name)) {
      this.#unhandled.add(name);
      this.options.log.warn(
        { consumer: this.options.consumer, event: name },
        'no handler here for a delivered event',
      );
    }
    this.#settle([receipt], { ok: false, error: new NoHandlerError(`Nothing here handles ${name}`) });
  }

  state(): DispatcherState {
    return { ...this.#lanes.summary(), batches: this.#running.size };
  }

  /**
   * Starts no more batches; resolves when those in hand are finished and settled, or when they take too long: then
   * they are not settled, and their events come again.
   */
  async drain(): Promise<void> {
    this.#draining = true;
    for (const end of this.#resting.values()) end();
    const { consumer, log, drainWithinMs = defaultDrainMs } = this.options;
    await waitAtMost(Promise.all(this.#running), drainWithinMs);
    const { batches, waiting } = this.state();
    if (batches > 0) log.warn({ consumer, batches }, 'batches did not end in time; their events go back');
    if (waiting > 0) log.info({ consumer, events: waiting }, 'events that waited go back');
    await waitAtMost(Promise.all(this.#settling), settleTimeoutMs);
  }

  /** After what has arrived together, so that a burst makes one batch and not a batch of one first. */
  #schedulePump(): void {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    setImmediate(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (!this.#draining && this.#running.size < (this.options.maxBatches ?? defaultMaxBatches)) {
      const batch = this.#lanes.take();
      if (!batch) return;
      const beganAt = performance.now();
      const run = this.#run(batch).finally(() => {
        this.#running.delete(run);
        this.#rest(batch, beganAt);
      });
      this.#running.add(run);
    }
  }

  /** Leaves the portal's lane alone for a moment, so that what comes together is handled together. */
  #rest({ memberId, handler }: Batch, beganAt: number): void {
    const look = (): void => {
      const sinceMs = performance.now() - beganAt;
      const restMs = this.#gathering.restMs(memberId, sinceMs, this.#lanes.pendingOf(memberId));
      if (restMs > 0 && handler.merge && !this.#draining && !this.#lanes.isFull(memberId)) {
        timer = setTimeout(look, restMs);
      } else {
        end();
      }
    };
    const end = (): void => {
      clearTimeout(timer);
      this.#resting.delete(memberId);
      this.#gathering.released(memberId, this.#lanes.release(memberId));
      this.#schedulePump();
    };
    let timer: NodeJS.Timeout | undefined;
    this.#resting.set(memberId, end);
    look();
  }

  /** The portal's next batch need not wait until this one is settled: settling only talks to the bus. */
  async #run(batch: Batch): Promise<void> {
    const { consumer } = this.options;
    batchEntries.observe({ consumer }, batch.entries.length);
    const stopTimer = batchSeconds.startTimer({ consumer });
    const outcomeOf = await this.#handle(batch);
    stopTimer();
    for (const entry of batch.entries) this.#settle(entry.receipts, outcomeOf(entry));
  }

  async #handle({ memberId, handler, entries }: Batch): Promise<(entry: PendingEntry<Receipt>) => Outcome> {
    const { consumer, log } = this.options;
    try {
      const failed = await handler.handle({ memberId, entries: entries.map(({ view }) => view) });
      if (failed.length === 0) return () => ({ ok: true });
      const errors = new Map(failed.map(({ entity, error }) => [entity, error]));
      log.warn(
        { consumer, memberId, failed: errors.size, of: entries.length, failure: toFailure(failed[0]?.error) },
        'entries of a batch failed',
      );
      return ({ view }) =>
        errors.has(view.entity) ? { ok: false, error: errors.get(view.entity) } : { ok: true };
    } catch (error) {
      log.warn({ consumer, memberId, of: entries.length, failure: toFailure(error) }, 'a batch failed');
      return () => ({ ok: false, error });
    }
  }

  #settle(receipts: readonly Receipt[], outcome: Outcome): void {
    for (const receipt of receipts) {
      const settling = this.#settleOne(receipt, outcome)
        .catch((error: unknown) => {
          this.options.log.error(
            { consumer: this.options.consumer, err: error },
            'a delivery could not be settled',
          );
        })
        .finally(() => this.#settling.delete(settling));
      this.#settling.add(settling);
    }
  }

  async #settleOne(receipt: Receipt, outcome: Outcome): Promise<void> {
    const { retryDelaysMs = defaultRetryDelaysMs, holdDays = defaultHoldDays } = this.options;
    const decision = decide(outcome, receipt, { retryDelaysMs, holdMs: holdDays * dayMs });
    settledTotal.inc({ consumer: this.options.consumer, decision: decision.kind });
    const failure = outcome.ok ? { code: '', message: '' } : toFailure(outcome.error);
    switch (decision.kind) {
      case 'done':
        return receipt.done();
      case 'retry':
        return receipt.retry(decision.afterMs, failure);
      case 'wait':
        return receipt.retry(decision.afterMs, failure, { countsAsAttempt: false });
      case 'dead':
        return receipt.dead(decision.because === 'held' ? heldTooLong(failure, holdDays) : failure);
    }
  }
}
