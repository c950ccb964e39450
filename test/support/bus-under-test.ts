import { randomUUID } from 'node:crypto';
import { type Log, silentLog } from '@relay/platform';
import amqp from 'amqplib';
import pg from 'pg';
import { freshVhost, hasBroker } from './broker.js';
import { freshDatabase } from './database.js';
import type { EventBus } from '../../libs/bus/src/contract/event-bus.js';
import { MemoryBroker } from '../../libs/bus/src/memory/memory-bus.js';
import { openEventBus, type OpenEventBusOptions } from '../../libs/bus/src/open-bus.js';
import { deadQueue, retryName, shardQueue, UNROUTED_NAME } from '../../libs/bus/src/rabbitmq/topology.js';
import { shards } from '../../libs/bus/src/contract/shard.js';

export interface DeadLetter {
  code: string;
  message: string;
  attempts: number;
  firstFailedAt: number;
  lastFailedAt: number;
  content: string;
}

/** A real broker or database used only by this spec, with access that bypasses our own code. */
export interface BusUnderTest {
  /** The address that the buses are opened with. */
  url: string;
  /** One bus, as one process would open it. */
  open(
    options?: Pick<OpenEventBusOptions, 'publishDeadlineMs' | 'retryDelaysMs'> & { url?: string; log?: Log },
  ): Promise<EventBus>;
  deadLetters(consumer: string): Promise<DeadLetter[]>;
  unrouted(): Promise<string[]>;
  /** Puts a raw message into the consumer's queue, valid or not. */
  inject(consumer: string, shard: number, content: string): Promise<void>;
  /** Puts dead letters straight behind the others; the consumer must exist. */
  injectDead(consumer: string, contents: readonly string[]): Promise<void>;
  /** Deletes everything of a consumer: every quorum queue keeps files open on the broker. */
  forget(consumer: string): Promise<void>;
  drop(): Promise<void>;
}

/** Short tiers, so that a test can see a message come back. */
export const retryDelaysMs = [200, 400];

async function rabbitMqUnderTest(): Promise<BusUnderTest> {
  const vhost = await freshVhost();
  const connection = await amqp.connect(vhost.url);
  const channel = await connection.createConfirmChannel();
  const drain = async (queue: string): Promise<amqp.GetMessage[]> => {
    const messages: amqp.GetMessage[] = [];
    for (;;) {
      const message = await channel.get(queue, { noAck: true });
      if (!message) return messages;
      messages.push(message);
    }
  };
  return {
    url: vhost.url,
    open: ({ url = vhost.url, log = silentLog, publishDeadlineMs = 5_000, ...given } = {}) =>
      openEventBus({ amqpUrl: url, log, retryDelaysMs, publishDeadlineMs, ...given }),
    deadLetters: async (consumer) =>
      (await drain(deadQueue(consumer))).map(({ content, properties }) => ({
        code: String(properties.headers?.['b24-code']),
        message: String(properties.headers?.['b24-message']),
        attempts: Number(properties.headers?.['b24-attempts']),
        firstFailedAt: Number(properties.headers?.['b24-first-failed-at']),
        lastFailedAt: Number(properties.headers?.['b24-last-failed-at']),
        content: content.toString(),
      })),
    unrouted: async () => (await drain(UNROUTED_NAME)).map(({ content }) => content.toString()),
    inject: async (consumer, shard, content) => {
      channel.sendToQueue(shardQueue(consumer, shard), Buffer.from(content));
      await channel.waitForConfirms();
    },
    injectDead: async (consumer, contents) => {
      const headers = { 'b24-code': 'ACCESS_DENIED', 'b24-attempts': 1, 'b24-last-failed-at': Date.now() };
      for (const content of contents) {
        channel.sendToQueue(deadQueue(consumer), Buffer.from(content), {
          persistent: true,
          messageId: randomUUID(),
          headers,
        });
      }
      await channel.waitForConfirms();
    },
    forget: async (consumer) => {
      const queues = [
        ...shards.map((shard) => shardQueue(consumer, shard)),
        ...retryDelaysMs.map((delayMs) => retryName(consumer, delayMs)),
        deadQueue(consumer),
      ];
      for (const queue of queues) await channel.deleteQueue(queue);
    },
    drop: async () => {
      await connection.close();
      await vhost.drop();
    },
  };
}

async function postgresUnderTest(): Promise<BusUnderTest> {
  const database = await freshDatabase('libs/bus');
  const pool = new pg.Pool({ connectionString: database.url, max: 2 });
  // Dropping the database ends a connection that has not closed by itself yet.
  pool.on('error', () => undefined);
  return {
    url: database.url,
    open: ({ url = database.url, log = silentLog, publishDeadlineMs = 5_000, ...given } = {}) =>
      openEventBus({ databaseUrl: url, log, retryDelaysMs, publishDeadlineMs, pollMs: 50, ...given }),
    deadLetters: async (consumer) => {
      const { rows } = await pool.query<DeadLetter>(
        `DELETE FROM bus.dead_letters WHERE consumer = $1
         RETURNING code, message, attempts, content::text AS content,
                   (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
                   (extract(epoch FROM last_failed_at) * 1000)::float8 AS "lastFailedAt"`,
        [consumer],
      );
      return rows;
    },
    unrouted: async () => {
      const { rows } = await pool.query<{ content: string }>(
        'DELETE FROM bus.unrouted RETURNING content::text AS content',
      );
      return rows.map(({ content }) => content);
    },
    inject: async (consumer, shard, content) => {
      await pool.query('INSERT INTO bus.messages (consumer, shard, content) VALUES ($1, $2, $3)', [
        consumer,
        shard,
        content,
      ]);
    },
    injectDead: async (consumer, contents) => {
      await pool.query(
        `INSERT INTO bus.dead_letters
           (consumer, shard, code, message, attempts, first_failed_at, last_failed_at, content)
         SELECT $1, 0, 'ACCESS_DENIED', 'No access', 1, now(), now(), content::json
         FROM unnest($2::text[]) WITH ORDINALITY AS given (content, position) ORDER BY position`,
        [consumer, contents],
      );
    },
    forget: async (consumer) => {
      await pool.query('DELETE FROM bus.subscriptions WHERE consumer = $1', [consumer]);
      await pool.query('DELETE FROM bus.messages WHERE consumer = $1', [consumer]);
      await pool.query('DELETE FROM bus.dead_letters WHERE consumer = $1', [consumer]);
    },
    drop: async () => {
      await pool.end();
      await database.drop();
    },
  };
}

/** That of specs of consumers: it has no address and no connection that could fail. */
async function memoryUnderTest(): Promise<BusUnderTest> {
  const broker = new MemoryBroker(retryDelaysMs);
  return {
    url: '',
    open: async ({ log = silentLog } = {}) => broker.open(log),
    deadLetters: async (consumer) => broker.queues(consumer).deadLetters.splice(0),
    unrouted: async () => broker.unrouted.splice(0),
    inject: async (consumer, shard, content) => broker.enqueue(consumer, shard, Buffer.from(content)),
    injectDead: async (consumer, contents) => {
      const at = { attempts: 1, firstFailedAt: Date.now(), lastFailedAt: Date.now() };
      const letters = contents.map((content) => ({
        code: 'ACCESS_DENIED',
        message: 'No access',
        ...at,
        content,
      }));
      broker.queues(consumer).deadLetters.push(...letters);
    },
    forget: async (consumer) => broker.forget(consumer),
    drop: async () => broker.close(),
  };
}

type NamedBus = [name: string, setUp: () => Promise<BusUnderTest>];

/** For `describe.each`: every contract is tested on both buses, where a broker is available. */
export const busesUnderTest: NamedBus[] = [
  ...(hasBroker ? [['RabbitMQ', rabbitMqUnderTest] satisfies [string, unknown]] : []),
  ['PostgreSQL', postgresUnderTest],
];

/** With the one of specs, which has no metrics, no `BusAdmin` and no connection. */
export const everyBusUnderTest: NamedBus[] = [...busesUnderTest, ['memory', memoryUnderTest]];
