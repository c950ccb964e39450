import { parseEventName, type PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';
import type { BusHealth } from './bus-health.js';
import { BusUnavailableError, type Consumption, type ConsumeOptions, type EventBus } from './event-bus.js';
import { consumedTotal, operationSeconds, sentTotal } from './metrics.js';
import { PostgresBus } from './postgres/postgres-bus.js';
import { RabbitMqBus } from './rabbitmq/rabbitmq-bus.js';
import { EVENTS_EXCHANGE } from './rabbitmq/topology.js';
import { DEFAULT_RETRY_DELAYS_MS } from './retry-delays.js';
import { inPublishSpan } from './spans.js';

export interface OpenEventBusOptions {
  /** When set, the bus is RabbitMQ (3.10 to 4.x). */
  amqpUrl?: string;
  /**
   * Used when `amqpUrl` is not set: the bus is this PostgreSQL database (15 or later, with `busMigrations` applied).
   */
  databaseUrl?: string;
  log: Log;
  /** Ascending, milliseconds. For tests: every process of an installation must use the same values. */
  retryDelaysMs?: readonly number[];
  publishDeadlineMs?: number;
  /** Receives the current problems of the bus, for health checks. */
  busHealth?: BusHealth;
  /**
   * RabbitMQ only: runs on every new connection before its first publish, for example to declare the queues of
   * consumers that are not running. While it rejects, nothing is published.
   */
  prepare?: () => Promise<void>;
  /** PostgreSQL only: how often to poll for messages whose delay has expired. */
  pollMs?: number;
}

const DEFAULT_PUBLISH_DEADLINE_MS = 500;
const DEFAULT_POLL_MS = 1_000;

/**
 * Opens the bus selected by the addresses. Resolves after the first connection attempt, successful or not: from then
 * on the bus reconnects by itself, for ever, and `isReady()` reports its state.
 * @throws TypeError when no address is set
 */
export async function openEventBus({
  amqpUrl,
  databaseUrl,
  log,
  retryDelaysMs = DEFAULT_RETRY_DELAYS_MS,
  publishDeadlineMs = DEFAULT_PUBLISH_DEADLINE_MS,
  pollMs = DEFAULT_POLL_MS,
  busHealth,
  prepare,
}: OpenEventBusOptions): Promise<EventBus> {
  const options = { log, retryDelaysMs, publishDeadlineMs, pollMs, busHealth, prepare };
  const bus = amqpUrl ? new RabbitMqBus(amqpUrl, options) : postgresBus(databaseUrl, options);
  await bus.start();
  return new MeteredBus(bus, amqpUrl ? 'rabbitmq' : 'postgresql');
}

function postgresBus(
  databaseUrl: string | undefined,
  options: ConstructorParameters<typeof PostgresBus>[1],
): PostgresBus {
  if (!databaseUrl) throw new TypeError('A bus needs amqpUrl or databaseUrl');
  return new PostgresBus(databaseUrl, options);
}

/** Part of queue names and of a PostgreSQL NOTIFY channel, whose name is limited to 63 bytes. */
const CONSUMER_NAME = /^[a-z][a-z0-9-]{0,39}$/;

/** Common to both implementations: validates names, and counts and traces all messages in one place. */
class MeteredBus implements EventBus {
  private readonly published;

  constructor(
    private readonly bus: EventBus,
    private readonly system: 'rabbitmq' | 'postgresql',
  ) {
    this.published = {
      messaging_system: system,
      messaging_operation_name: 'publish',
      // The same name for PostgreSQL, which has no exchange.
      messaging_destination_name: EVENTS_EXCHANGE,
    };
  }

  async publish(event: PortalEvent, deadlineMs?: number): Promise<void> {
    const stopTimer = operationSeconds.startTimer(this.published);
    try {
      await inPublishSpan(event, { system: this.system, destination: EVENTS_EXCHANGE }, (traced) =>
        this.bus.publish(traced, deadlineMs),
      );
      sentTotal.inc(this.published);
      stopTimer();
    } catch (error) {
      const error_type = error instanceof BusUnavailableError ? error.code : '_OTHER';
      sentTotal.inc({ ...this.published, error_type });
      stopTimer({ error_type });
      throw error;
    }
  }

  async consume(options: ConsumeOptions): Promise<Consumption> {
    const { consumer, names, receive } = options;
    if (!CONSUMER_NAME.test(consumer)) {
      throw new TypeError(`A consumer's name is 1 to 40 of a-z, 0-9 and "-": ${consumer}`);
    }
    for (const name of names) parseEventName(name);
    const consumed = consumedTotal.labels({
      messaging_system: this.system,
      messaging_operation_name: 'consume',
      messaging_consumer_group_name: consumer,
    });
    return this.bus.consume({
      ...options,
      receive: (delivery) => {
        consumed.inc();
        receive(delivery);
      },
    });
  }

  isReady(): boolean {
    return this.bus.isReady();
  }

  close(): Promise<void> {
    return this.bus.close();
  }
}
