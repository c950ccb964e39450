import { type Log, databasePool } from '@relay/platform';
import type { BusAdmin } from './admin/bus-admin.js';
import type { BusHealth } from './connection/connection-report.js';
import type { EventBus } from './contract/event-bus.js';
import { DEFAULT_RETRY_DELAYS_MS } from './contract/retry-delays.js';
import { PostgresAdmin } from './postgres/admin/postgres-admin.js';
import { PostgresBus } from './postgres/postgres-bus.js';
import { RabbitAdmin } from './rabbitmq/admin/rabbit-admin.js';
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

export interface OpenBusAdminOptions {
  /** When set, the bus is RabbitMQ. */
  amqpUrl?: string;
  /** The bus when `amqpUrl` is not set; in any case the database for process reports and the operator lock. */
  databaseUrl: string;
  log: Log;
  /** The same as those of the bus; for tests. */
  retryDelaysMs?: readonly number[];
}

const POOL_SIZE = 2;
const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 30_000;

/** Opens no connection before the first call. */
export function openBusAdmin({
  amqpUrl,
  databaseUrl,
  log,
  retryDelaysMs = DEFAULT_RETRY_DELAYS_MS,
}: OpenBusAdminOptions): BusAdmin {
  const database = databasePool(
    {
      connectionString: databaseUrl,
      application_name: 'b24-relay admin',
      max: POOL_SIZE,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    },
    (err) =>
      log.warn({ event: 'bus.admin.connection_ended', err }, 'a connection of the admin API has ended'),
  );
  return amqpUrl
    ? new RabbitAdmin({ url: amqpUrl, database, databaseUrl, retryDelaysMs, log })
    : new PostgresAdmin({ database, databaseUrl });
}
