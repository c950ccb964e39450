import type { EventLogWriter } from '@relay/event-log';
import { counter, type Log, waitAtMost } from '@relay/platform';
import {
  type Failure,
  type PortalEvent,
  type Receipt,
  tierFor,
  toFailure,
  DEFAULT_RETRY_DELAYS_MS,
} from '@relay/bus';
import { decide, type Decision, type Outcome } from './decide.js';

/** A series that begins with its first failure has no rate for it: the alert would not see it. */
const DECISIONS: readonly Decision['kind'][] = ['done', 'retry', 'wait', 'dead'];

const settledTotal = counter({
  name: 'relay_bus_settled_total',
  help: 'Deliveries settled, by decision: done, retry, wait, dead',
  labelNames: ['consumer', 'decision'],
});

export interface SettlerOptions {
  consumer: string;
  log: Log;
  /** Gets what was decided about each delivery that was noted. */
  eventLog?: Pick<EventLogWriter, 'settled'> | undefined;
  retryDelaysMs?: readonly number[];
  /** Days from its first failure that an event is held for a portal that cannot be called. Default 7. */
  holdDays?: number;
  /** An event of the portal comes back to its lane after so many milliseconds; a repeat if its entity was in a batch. */
  onReturn?: (memberId: string, afterMs: number, isRepeat: boolean) => void;
}

const DEFAULT_HOLD_DAYS = 7;
const DAY_MS = 24 * 3_600_000;

/** Settles every delivery by the result of its entry. It does not wait for the bus; `settled` does. */
export class Settler {
  private readonly settling = new Set<Promise<void>>();
  /** Numbers of deferred events, by the second in which they are due: a few minutes ahead at most. */
  private readonly deferrals = new Map<number, number>();
  /** Events handled since the start. */
  done = 0;
  /** Of deliveries that are in memory, for the event log alone: lanes keep receipts and drop the events. */
  private readonly eventIds = new WeakMap<Receipt, string>();

  constructor(private readonly options: SettlerOptions) {
    const { consumer } = options;
    for (const decision of DECISIONS) settledTotal.inc({ consumer, decision }, 0);
  }

  /**
   * Milliseconds that an entry has to wait in the lane before it is retried; undefined when it must be settled.
   * @param since when its lane began to wait
   */
  waitMs(
    receipts: readonly Receipt[],
    outcome: Outcome,
    since: number | undefined,
    now: number,
  ): number | undefined {
    let maxMs: number | undefined;
    for (const { attempts, firstFailedAt = since } of receipts) {
      const decision = decide(outcome, { attempts, firstFailedAt }, this.rules, now);
      if (decision.kind !== 'wait') return undefined;
      maxMs = Math.max(maxMs ?? 0, decision.afterMs);
    }
    return maxMs;
  }

  /** So that the event log can name the event of the receipt. */
  note(receipt: Receipt, { id }: PortalEvent): void {
    if (this.options.eventLog) this.eventIds.set(receipt, id);
  }

  /**
   * @param memberId whose lane an event that is retried comes back to; undefined: to none, it is not waited for
   * @param receipts of the events that were handled as one, the first of them first
   */
  settle(memberId: string | undefined, receipts: readonly Receipt[], outcome: Outcome): void {
    const [first] = receipts;
    for (const receipt of receipts) this.track(this.settleOne(memberId, receipt, outcome, first));
  }

  /** Defers a delivery although nothing failed and nothing was tried. */
  defer(memberId: string, receipt: Receipt, afterMs: number, isRepeat = false): void {
    this.returns(memberId, afterMs, isRepeat);
    const dueInSecond = Math.ceil((Date.now() + this.delayMs(afterMs)) / 1_000);
    this.deferrals.set(dueInSecond, (this.deferrals.get(dueInSecond) ?? 0) + 1);
    this.track(receipt.defer(afterMs));
  }

  /** How many of the deferred events are not due yet. */
  deferred(now: number): number {
    let events = 0;
    for (const [second, count] of this.deferrals) {
      if (second * 1_000 <= now) this.deferrals.delete(second);
      else events += count;
    }
    return events;
  }

  /** Resolves when everything submitted is settled, or on timeout. */
  async settled(timeoutMs: number): Promise<void> {
    await waitAtMost(Promise.all(this.settling), timeoutMs);
  }

  private get rules() {
    const { retryDelaysMs = DEFAULT_RETRY_DELAYS_MS, holdDays = DEFAULT_HOLD_DAYS } = this.options;
    return { retryDelaysMs, holdMs: holdDays * DAY_MS };
  }

  private track(work: Promise<void>): void {
    const settling = work
      .catch((error: unknown) => {
        const { consumer, log } = this.options;
        log.error(
          { event: 'consumer.delivery.unsettled', consumer, err: error },
          'a delivery could not be settled',
        );
      })
      .finally(() => this.settling.delete(settling));
    this.settling.add(settling);
  }

  private returns(memberId: string | undefined, afterMs: number, isRepeat = false): void {
    if (memberId !== undefined) this.options.onReturn?.(memberId, this.delayMs(afterMs), isRepeat);
  }

  /** As the bus does it: a delay between two tiers takes as long as the longer one. */
  private delayMs(afterMs: number): number {
    return tierFor(afterMs, this.rules.retryDelaysMs);
  }

  private async settleOne(
    memberId: string | undefined,
    receipt: Receipt,
    outcome: Outcome,
    first?: Receipt,
  ): Promise<void> {
    const { consumer, holdDays = DEFAULT_HOLD_DAYS } = this.options;
    const decision = decide(outcome, receipt, this.rules);
    settledTotal.inc({ consumer, decision: decision.kind });
    if (decision.kind === 'done') this.done += 1;
    if (decision.kind === 'retry' || decision.kind === 'wait') this.returns(memberId, decision.afterMs);
    const reason = outcome.ok ? { code: '', message: '' } : toFailure(outcome.error);
    const isExpired = decision.kind === 'dead' && decision.reason === 'hold-expired';
    const failure = isExpired ? holdExpired(reason, holdDays) : reason;
    this.record(receipt, decision.kind, failure.code || undefined, first);
    switch (decision.kind) {
      case 'done':
        return receipt.done();
      case 'retry':
        return receipt.retry(decision.afterMs, failure);
      case 'wait':
        return receipt.retry(decision.afterMs, failure, { countsAsAttempt: false });
      case 'dead':
        return receipt.dead(failure);
    }
  }

  private record(
    receipt: Receipt,
    outcome: Decision['kind'],
    code: string | undefined,
    first: Receipt | undefined,
  ): void {
    const eventId = this.eventIds.get(receipt);
    // One that has returned to the bus comes again.
    if (eventId === undefined || receipt.lost) return;
    const mergedInto = first && first !== receipt ? this.eventIds.get(first) : undefined;
    const { consumer, eventLog } = this.options;
    eventLog?.settled({ eventId, consumer, outcome, attempts: receipt.attempts, code, mergedInto });
  }
}

/** The code by which an operator finds all such dead letters, to replay them once the portal is back. */
function holdExpired({ code, message }: Failure, days: number): Failure {
  const what = `the portal could not be called for ${days} days`;
  return toFailure({ code: 'portal-unavailable', message: `${what}; the last reason: ${code}: ${message}` });
}
