import { type PortalEvent, type Delivery, type Failure, type Receipt } from '@relay/bus';

export type Settled =
  | { as: 'done' }
  | { as: 'retry'; afterMs: number; failure: Failure; countsAsAttempt: boolean }
  | { as: 'defer'; afterMs: number; code?: string }
  | { as: 'dead'; failure: Failure };

/** A delivery without a bus that records how it was settled. */
export class RecordedReceipt implements Receipt {
  readonly settled: Settled[] = [];
  lost = false;
  deliveryCount = 0;
  heldBytes = 0;

  constructor(
    readonly attempts: number,
    readonly firstFailedAt: number | undefined,
  ) {}

  async done(): Promise<void> {
    this.settled.push({ as: 'done' });
  }
  async retry(afterMs: number, failure: Failure, options?: { countsAsAttempt?: boolean }): Promise<void> {
    this.settled.push({ as: 'retry', afterMs, failure, countsAsAttempt: options?.countsAsAttempt ?? true });
  }
  async defer(afterMs: number, code?: string): Promise<void> {
    this.settled.push({ as: 'defer', afterMs, ...(code !== undefined && { code }) });
  }
  async dead(failure: Failure): Promise<void> {
    this.settled.push({ as: 'dead', failure });
  }
}

export function recorded(
  event: PortalEvent,
  attempts = 0,
  firstFailedAt = attempts > 0 ? Date.now() : undefined,
): { delivery: Delivery; receipt: RecordedReceipt } {
  const receipt = new RecordedReceipt(attempts, firstFailedAt);
  return { delivery: { event, receipt }, receipt };
}
