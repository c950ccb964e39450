import type { PortalEvent } from '@relay/events';
import type { Delivery, Failure, Receipt } from './event-bus.js';

/** A decoded event with its receipt. To hold many, keep the receipts and drop the events. */
export class UnackedDelivery implements Delivery {
  constructor(
    readonly event: PortalEvent,
    readonly receipt: Receipt,
  ) {}

  get attempts(): number {
    return this.receipt.attempts;
  }
  get deliveryCount(): number {
    return this.receipt.deliveryCount;
  }
  get firstFailedAt(): number | undefined {
    return this.receipt.firstFailedAt;
  }
  get lost(): boolean {
    return this.receipt.lost;
  }
  done(): Promise<void> {
    return this.receipt.done();
  }
  retry(afterMs: number, failure: Failure, options?: { countsAsAttempt?: boolean }): Promise<void> {
    return this.receipt.retry(afterMs, failure, options);
  }
  defer(afterMs: number, code?: string): Promise<void> {
    return this.receipt.defer(afterMs, code);
  }
  dead(failure: Failure): Promise<void> {
    return this.receipt.dead(failure);
  }
}
