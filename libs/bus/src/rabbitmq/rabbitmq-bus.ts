import { encodeMessage, type PortalEvent } from '@relay/events';
import type { BusHealth } from '../connection/connection-report.js';
import {
  type BusOptions,
  checkNames,
  type Consumption,
  type ConsumeOptions,
  type EventBus,
} from '../contract/event-bus.js';
import { beginPublishing, countDeliveries, instrumentPublish } from '../contract/instrumentation.js';
import { ConfirmedPublisher } from './confirmed-publisher.js';
import { RabbitConsumption } from './consumption.js';
import {
  declareConsumer,
  declareEvents,
  EVENTS_EXCHANGE,
  requireWritable,
  routingKeyOf,
  type ConsumerTopology,
} from './topology.js';

/** No caller waits for a retry; it is repeated for as long as this process holds its delivery. */
const RETRY_PUBLISH_DEADLINE_MS = 10_000;

/** Publishing, retries, and each consumption use separate connections: RabbitMQ blocks publishers per connection. */
export class RabbitMqBus implements EventBus {
  private readonly publisher: ConfirmedPublisher;
  private readonly retryPublisher: ConfirmedPublisher;
  private readonly consumptions = new Set<RabbitConsumption>();
  /** Topologies declared once: declared again when a retry finds a part missing. */
  private readonly declared: ConsumerTopology[] = [];

  constructor(
    private readonly url: string,
    private readonly options: BusOptions & { busHealth?: BusHealth; prepare?: () => Promise<void> },
  ) {
    const { log, busHealth, publishDeadlineMs, prepare } = options;
    this.publisher = new ConfirmedPublisher({
      url,
      log,
      busHealth,
      name: 'publish',
      deadlineMs: publishDeadlineMs,
      declare: async (channel) => {
        // First: while the exchange does not exist, no event can miss a consumer whose queues are not declared yet.
        await prepare?.();
        await declareEvents(channel);
        await requireWritable(channel, EVENTS_EXCHANGE);
      },
    });
    this.retryPublisher = new ConfirmedPublisher({
      url,
      log,
      busHealth,
      name: 'retry',
      deadlineMs: RETRY_PUBLISH_DEADLINE_MS,
      declare: async (channel) => {
        if (this.declared.length > 0) await declareEvents(channel);
        for (const topology of this.declared) await declareConsumer(channel, topology);
      },
    });
  }

  /** Resolves after the first connection attempt: a broker that is down does not prevent a gateway start. */
  start(): Promise<void> {
    beginPublishing('rabbitmq');
    return this.publisher.start();
  }

  publish(event: PortalEvent, deadlineMs?: number): Promise<void> {
    return instrumentPublish('rabbitmq', event, (traced) =>
      this.publisher.publish(
        {
          exchange: EVENTS_EXCHANGE,
          routingKey: routingKeyOf(traced),
          content: encodeMessage(traced),
          messageId: traced.id,
          // For tools that inspect the broker; our consumers read the message itself, which a retry leaves unchanged.
          ...(traced.traceparent !== undefined && { headers: { traceparent: traced.traceparent } }),
        },
        deadlineMs,
      ),
    );
  }

  async consume(options: ConsumeOptions): Promise<Consumption> {
    const { log, retryDelaysMs, busHealth } = this.options;
    const { consumer, names } = options;
    checkNames(options);
    await this.retryPublisher.start();
    const settling = { consumer, log, retryDelaysMs, publisher: this.retryPublisher };
    const consumption = new RabbitConsumption(
      this.url,
      { ...options, receive: countDeliveries('rabbitmq', options, retryDelaysMs) },
      settling,
      busHealth,
    );
    this.consumptions.add(consumption);
    try {
      await consumption.start(options.signal);
    } catch (error) {
      await consumption.stop();
      throw error;
    }
    this.declared.push({ consumer, names, retryDelaysMs });
    return consumption;
  }

  isReady(): boolean {
    return this.publisher.isReady();
  }

  async close(): Promise<void> {
    await Promise.all([...this.consumptions].map((consumption) => consumption.stop()));
    await Promise.all([this.publisher.close(), this.retryPublisher.close()]);
  }
}
