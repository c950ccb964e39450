import { databasePool, type Log } from '@relay/platform';
import { PostgresAdmin } from './postgres/admin/postgres-admin.js';
import { RabbitAdmin } from './rabbitmq/admin/rabbit-admin.js';
import { DEFAULT_RETRY_DELAYS_MS } from './contract/retry-delays.js';
import type { BusAdmin } from './admin/bus-admin.js';

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
