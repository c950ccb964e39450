import {
  type Consumption,
  type ConsumeOptions,
  type Delivery,
  type EventBus,
  parseEventName,
  type PortalEvent,
  type Receipt,
} from '@relay/bus';

/** What became of one delivery of an event: it is handled, comes back later, or is a dead letter. */
export type Outcome =
  | { outcome: 'done' }
  /** Failed; `code` is that of the error. */
  | { outcome: 'retry'; code: string }
  /** Comes back without an attempt: the portal cannot be called now, or too much waits. */
  | { outcome: 'waits'; code: string }
  | { outcome: 'dead'; code: string };

/** Sees what one consumer does with each event, on any bus. */
export class DeliveryWatch {
  /** Event names of the consumer, once it subscribes. */
  names: readonly string[] = [];
  readonly deadLetters: { event: PortalEvent; code: string }[] = [];
  private readonly inFlight = new Set<string>();
  private readonly waiting = new Map<string, (outcome: Outcome) => void>();
  private publishedCount = 0;

  /** @param awaitsRetries whether an event that waits for its retry is in flight, too */
  constructor(private readonly awaitsRetries: boolean) {}

  /** How many events are published so far, and how many are in flight. */
  state(): { published: number; inFlight: number } {
    return { published: this.publishedCount, inFlight: this.inFlight.size };
  }

  /** A bus of the consumer. */
  over(bus: EventBus): EventBus {
    return {
      publish: (event, deadlineMs) => bus.publish(event, deadlineMs),
      isReady: () => bus.isReady(),
      close: () => bus.close(),
      consume: (options) => this.consume(bus, options),
    };
  }

  /** Publishes, and resolves with the first outcome. @throws Error for an event that the consumer does not handle */
  async publish(bus: EventBus, event: PortalEvent): Promise<Outcome> {
    const isHandled = this.names
      .map((name) => parseEventName(name))
      .some(
        ({ name, entityTypeId }) => name === event.name && [0, event.entityTypeId].includes(entityTypeId),
      );
    if (!isHandled) throw new Error(`The consumer does not handle ${event.name}`);
    const outcome = new Promise<Outcome>((resolve) => {
      this.waiting.set(event.id, resolve);
    });
    this.publishedCount += 1;
    this.inFlight.add(event.id);
    try {
      await bus.publish(event);
    } catch (error) {
      this.inFlight.delete(event.id);
      this.waiting.delete(event.id);
      throw error;
    }
    return outcome;
  }

  private consume(bus: EventBus, options: ConsumeOptions): Promise<Consumption> {
    this.names = options.names;
    return bus.consume({
      ...options,
      receive: ({ event, receipt }: Delivery) => {
        this.inFlight.add(event.id);
        options.receive({ event, receipt: new WatchedReceipt(event, receipt, this) });
      },
    });
  }

  settled(event: PortalEvent, outcome: Outcome): void {
    if (outcome.outcome === 'dead') this.deadLetters.push({ event, code: outcome.code });
    if (outcome.outcome !== 'retry' || !this.awaitsRetries) this.inFlight.delete(event.id);
    this.waiting.get(event.id)?.(outcome);
    this.waiting.delete(event.id);
  }
}

class WatchedReceipt implements Receipt {
  constructor(
    private readonly event: PortalEvent,
    private readonly receipt: Receipt,
    private readonly watch: DeliveryWatch,
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

  async done(): Promise<void> {
    await this.receipt.done();
    this.watch.settled(this.event, { outcome: 'done' });
  }

  async retry(...[afterMs, failure, options]: Parameters<Receipt['retry']>): Promise<void> {
    await this.receipt.retry(afterMs, failure, options);
    const outcome = options?.countsAsAttempt === false ? 'waits' : 'retry';
    this.watch.settled(this.event, { outcome, code: failure.code });
  }

  async defer(afterMs: number, code = ''): Promise<void> {
    await this.receipt.defer(afterMs, code);
    this.watch.settled(this.event, { outcome: 'waits', code });
  }

  async dead(...[failure]: Parameters<Receipt['dead']>): Promise<void> {
    await this.receipt.dead(failure);
    this.watch.settled(this.event, { outcome: 'dead', code: failure.code });
  }
}
