import { databasePool, type Log } from '@relay/platform';
import { PostgresCare } from '../postgres/care/postgres-care.js';
import { RabbitCare } from '../rabbitmq/care/rabbit-care.js';
import { defaultRetryDelaysMs } from '../retry-delays.js';
import type { BusCare } from './bus-care.js';

export interface OpenBusCareOptions {
  /** Set: the bus is RabbitMQ. */
  amqpUrl?: string;
  /** The bus when `amqpUrl` is not set; in any case what processes report, and how operators take turns. */
  databaseUrl: string;
  log: Log;
  /** Those of the bus; for tests. */
  retryDelaysMs?: readonly number[];
}

const poolSize = 2;
const connectTimeoutMs = 5_000;
const queryTimeoutMs = 30_000;

/** Opens no connection before it is asked something. */
export function openBusCare({
  amqpUrl,
  databaseUrl,
  log,
  retryDelaysMs = defaultRetryDelaysMs,
}: OpenBusCareOptions): BusCare {
  const database = databasePool(
    {
      connectionString: databaseUrl,
      application_name: 'b24-relay care',
      max: poolSize,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: queryTimeoutMs,
      keepAlive: true,
    },
    (err) => log.warn({ err }, 'a connection for operators has ended'),
  );
  return amqpUrl
    ? new RabbitCare({ url: amqpUrl, database, databaseUrl, retryDelaysMs, log })
    : new PostgresCare({ database, databaseUrl });
}
