/** What the servers published: a consumer that subscribes to the events of the benchmark, and never takes any. */
import amqp from 'amqplib';
import pg from 'pg';

const CONSUMER = 'bench';
const EVENT = 'ONCRMCONTACTUPDATE';
const EXCHANGE = 'b24.events';

/** @typedef {{ routedTo: unknown, properties: unknown, event: any }} Stored */
/**
 * @typedef {object} BusStore
 * @property {() => Promise<Stored>} takeOne the only message, which is removed
 * @property {() => Promise<number>} empty removes all; how many there were
 */

/**
 * @param {Pick<import('../support/system.mjs').System, 'amqpUrl' | 'databaseUrl'>} system
 * @param {import('../support/system.mjs').Closers} closers
 * @returns {Promise<BusStore>}
 */
export function openBusStore({ amqpUrl, databaseUrl }, closers) {
  return amqpUrl ? openQueue(amqpUrl, closers) : openTable(databaseUrl, closers);
}

/** @param {string} url @param {import('../support/system.mjs').Closers} closers @returns {Promise<BusStore>} */
async function openQueue(url, closers) {
  const connection = await amqp.connect(url);
  closers.add(() => connection.close());
  const channel = await connection.createChannel();
  const quorum = { 'x-queue-type': 'quorum' };
  const { queue } = await channel.assertQueue(CONSUMER, { durable: true, arguments: quorum });
  await channel.bindQueue(queue, EXCHANGE, `${EVENT}.#`);
  return {
    takeOne: async () => {
      const message = await channel.get(queue, { noAck: true });
      if (message === false) throw new Error('nothing was published');
      const { messageId, contentType, deliveryMode } = message.properties;
      const event = JSON.parse(message.content.toString());
      if (messageId !== event.id) throw new Error(`message_id is ${messageId}, not the id of the event`);
      return { routedTo: message.fields.routingKey, properties: { contentType, deliveryMode }, event };
    },
    empty: async () => (await channel.purgeQueue(queue)).messageCount,
  };
}

/** @param {string} url @param {import('../support/system.mjs').Closers} closers @returns {Promise<BusStore>} */
async function openTable(url, closers) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  closers.add(() => client.end());
  await client.query('INSERT INTO bus.subscriptions VALUES ($1, $2, 0)', [CONSUMER, EVENT]);
  return {
    takeOne: async () => {
      const { rows } = await client.query('DELETE FROM bus.messages RETURNING consumer, shard, content');
      if (rows.length !== 1) throw new Error(`${rows.length} messages were published, not one`);
      const [{ consumer, shard, content }] = rows;
      return { routedTo: { consumer, shard }, properties: undefined, event: content };
    },
    empty: async () => {
      const { rows } = await client.query('SELECT count(*)::int AS count FROM bus.messages');
      await client.query('TRUNCATE bus.messages');
      return rows[0]?.count ?? 0;
    },
  };
}
