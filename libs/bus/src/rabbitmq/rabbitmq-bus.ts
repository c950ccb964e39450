import { encodeMessage, type PortalEvent } from '@relay/events';
import type { BusOptions, Consumption, ConsumeOptions, EventBus } from '../event-bus.js';
import { ConfirmedPublisher } from './confirmed-publisher.js';
import { RabbitConsumption } from './consumption.js';
import { declareEvents, eventsExchange, routingKeyOf } from './topology.js';

/** A retry has nobody waiting for it; it is tried again for as long as its delivery is ours. */
const moveDeadlineMs = 10_000;

/** Publishing, moving failed messages, and each consumption have a connection of their own: RabbitMQ blocks by connection. */
export class RabbitMqBus implements EventBus {
  readonly #publisher: ConfirmedPublisher;
  readonly #mover: ConfirmedPublisher;
  readonly #consumptions = new Set<RabbitConsumption>();

  constructor(
    private readonly url: string,
    private readonly options: BusOptions,
  ) {
    const { log, publishDeadlineMs } = options;
    this.#publisher = new ConfirmedPublisher({
      url,
      log,
      name: 'publish',
      deadlineMs: publishDeadlineMs,
      declare: declareEvents,
    });
    this.#mover = new ConfirmedPublisher({
      url,
      log,
      name: 'retry',
      deadlineMs: moveDeadlineMs,
      declare: async () => undefined,
    });
  }

  /** Resolves after the first attempt to connect: a broker that is away does not keep a gateway from starting. */
  start(): Promise<void> {
    return this.#publisher.start();
  }

  publish(event: PortalEvent, deadlineMs?: number): Promise<void> {
    const message = {
      exchange: eventsExchange,
      routingKey: routingKeyOf(event),
      content: encodeMessage(event),
      messageId: event.id,
      // For tools that look at the broker; ours read the message, which a retry leaves as it is.
      ...(event.traceparent !== undefined && { headers: { traceparent: event.traceparent } }),
    };
    return this.#publisher.publish(message, deadlineMs);
  }

  async consume(options: ConsumeOptions): Promise<Consumption> {
    const { log, retryDelaysMs } = this.options;
    await this.#mover.start();
    const consumption = new RabbitConsumption(this.url, options, {
      consumer: options.consumer,
      log,
      retryDelaysMs,
      publisher: this.#mover,
    });
    this.#consumptions.add(consumption);
    try {
      await consumption.start(options.signal);
    } catch (error) {
      await consumption.stop();
      throw error;
    }
    return consumption;
  }

  isReady(): boolean {
    return this.#publisher.isReady();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#consumptions].map((consumption) => consumption.stop()));
    await Promise.all([this.#publisher.close(), this.#mover.close()]);
  }
}
