import type { Log } from '@relay/platform';
import type { BusHealth } from './connection/connection-report.js';
import type { EventBus } from './contract/event-bus.js';
import { DEFAULT_RETRY_DELAYS_MS } from './contract/retry-delays.js';
import { PostgresBus } from './postgres/postgres-bus.js';
import { RabbitMqBus } from './rabbitmq/rabbitmq-bus.js';

export interface OpenEventBusOptions {
  /** When set, the bus is RabbitMQ (3.10 to 4.x). */
  amqpUrl?: string;
  /**
   * Used when `amqpUrl` is not set: the bus is this PostgreSQL database (15 or later, with the migrations of this lib applied).
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
  return bus;
}

function postgresBus(
  databaseUrl: string | undefined,
  options: ConstructorParameters<typeof PostgresBus>[1],
): PostgresBus {
  if (!databaseUrl) throw new TypeError('A bus needs amqpUrl or databaseUrl');
  return new PostgresBus(databaseUrl, options);
}
