import { counter, type Log, waitAtMost } from '@relay/platform';
import { type Failure, type Receipt, toFailure, DEFAULT_RETRY_DELAYS_MS } from '@relay/bus';
import { decide, type Outcome } from './decide.js';

const settledTotal = counter({
  name: 'relay_bus_settled_total',
  help: 'Deliveries settled, by decision: done, retry, wait, dead',
  labelNames: ['consumer', 'decision'],
});

export interface SettlerOptions {
  consumer: string;
  log: Log;
  retryDelaysMs?: readonly number[];
  /** Days from its first failure that an event is held for a portal that cannot be called. Default 7. */
  holdDays?: number;
}

const DEFAULT_HOLD_DAYS = 7;
const DAY_MS = 24 * 3_600_000;

/** Settles every delivery by the result of its entry. It does not wait for the bus; `settled` does. */
export class Settler {
  private readonly settling = new Set<Promise<void>>();

  constructor(private readonly options: SettlerOptions) {}

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

  settle(receipts: readonly Receipt[], outcome: Outcome): void {
    for (const receipt of receipts) this.track(this.settleOne(receipt, outcome));
  }

  /** Defers a delivery although nothing failed and nothing was tried. */
  defer(receipt: Receipt, afterMs: number): void {
    this.track(receipt.defer(afterMs));
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

  private async settleOne(receipt: Receipt, outcome: Outcome): Promise<void> {
    const { consumer, holdDays = DEFAULT_HOLD_DAYS } = this.options;
    const decision = decide(outcome, receipt, this.rules);
    settledTotal.inc({ consumer, decision: decision.kind });
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

/** The code by which an operator finds all such dead letters, to replay them once the portal is back. */
function heldTooLong({ code, message }: Failure, days: number): Failure {
  const what = `the portal could not be called for ${days} days`;
  return toFailure({ code: 'portal-unavailable', message: `${what}; the last reason: ${code}: ${message}` });
}
