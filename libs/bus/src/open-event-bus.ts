import { parseEventName, type PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';
import type { BusTroubles } from './bus-troubles.js';
import { BusUnavailableError, type Consumption, type ConsumeOptions, type EventBus } from './event-bus.js';
import { publishedTotal } from './metrics.js';
import { PostgresBus } from './postgres/postgres-bus.js';
import { RabbitMqBus } from './rabbitmq/rabbitmq-bus.js';
import { defaultRetryDelaysMs } from './retry-delays.js';

export interface OpenEventBusOptions {
  /** Set: the bus is RabbitMQ (3.10 to 4.x). */
  amqpUrl?: string;
  /** Used when `amqpUrl` is not set: the bus lives in this PostgreSQL (15 or later, `busMigrations` run). */
  databaseUrl?: string;
  log: Log;
  /** Ascending, milliseconds; for tests, since every process of an installation must agree on them. */
  retryDelaysMs?: readonly number[];
  publishDeadlineMs?: number;
  /** Kept up to date with what is wrong, for whoever shows it. */
  troubles?: BusTroubles;
  /** PostgreSQL only: how often to look for messages whose delay is over. */
  pollMs?: number;
}

const defaultPublishDeadlineMs = 500;
const defaultPollMs = 1_000;

/**
 * Opens the bus that the addresses choose. Resolves after the first attempt to connect, whatever came of it: from then
 * on the bus connects again by itself, for ever, and `isReady()` tells.
 * @throws TypeError without any address
 */
export async function openEventBus({
  amqpUrl,
  databaseUrl,
  log,
  retryDelaysMs = defaultRetryDelaysMs,
  publishDeadlineMs = defaultPublishDeadlineMs,
  pollMs = defaultPollMs,
  troubles,
}: OpenEventBusOptions): Promise<EventBus> {
  const options = { log, retryDelaysMs, publishDeadlineMs, pollMs, troubles };
  const bus = amqpUrl ? new RabbitMqBus(amqpUrl, options) : postgresBus(databaseUrl, options);
  await bus.start();
  return new MeteredBus(bus);
}

function postgresBus(
  databaseUrl: string | undefined,
  options: ConstructorParameters<typeof PostgresBus>[1],
): PostgresBus {
  if (!databaseUrl) throw new TypeError('A bus needs amqpUrl or databaseUrl');
  return new PostgresBus(databaseUrl, options);
}

/** Part of the names of queues, and of a channel of PostgreSQL, which takes no more than 63 bytes. */
const consumerName = /^[a-z][a-z0-9-]{0,39}$/;

/** What both implementations have in common: names are checked and publishes counted in one place. */
class MeteredBus implements EventBus {
  constructor(private readonly bus: EventBus) {}

  async publish(event: PortalEvent, deadlineMs?: number): Promise<void> {
    try {
      await this.bus.publish(event, deadlineMs);
      publishedTotal.inc({ outcome: 'stored' });
    } catch (error) {
      publishedTotal.inc({ outcome: error instanceof BusUnavailableError ? error.code : 'error' });
      throw error;
    }
  }

  async consume(options: ConsumeOptions): Promise<Consumption> {
    if (!consumerName.test(options.consumer)) {
      throw new TypeError(`A consumer's name is 1 to 40 of a-z, 0-9 and "-": ${options.consumer}`);
    }
    for (const name of options.names) parseEventName(name);
    return this.bus.consume(options);
  }

  isReady(): boolean {
    return this.bus.isReady();
  }

  close(): Promise<void> {
    return this.bus.close();
  }
}
