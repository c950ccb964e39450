/** The least that publishes a message with the guarantee of the bus: stored when the promise resolves. */
import amqp from 'amqplib';
import pg from 'pg';

/** @typedef {import('./event-check.mjs').Message} Message */
/** @typedef {{ publish: (message: Message) => Promise<unknown>, close: () => Promise<void> }} Publisher */

const EXCHANGE = 'b24.events';
const POOL_SIZE = 4;
const UNROUTED_MAX_ROWS = 10_000;

/** Confirmed and mandatory. @param {string} url @returns {Promise<Publisher>} */
export async function rabbitPublisher(url) {
  const connection = await amqp.connect(url, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  /** @type {Set<string>} */
  const returned = new Set();
  channel.on('return', ({ properties }) => returned.add(properties.messageId));
  return {
    publish: ({ id, name, entityTypeId, shard, content }) =>
      new Promise((resolve, reject) => {
        const options = { persistent: true, mandatory: true, contentType: 'application/json', messageId: id };
        channel.publish(EXCHANGE, `${name}.${entityTypeId}.${shard}`, content, options, (error) => {
          if (error || returned.delete(id)) reject(error ?? new Error('no queue takes the message'));
          else resolve(undefined);
        });
      }),
    close: () => connection.close(),
  };
}

// One statement for each message, which also notifies; libs/bus/src/postgres/publisher.ts groups them.
const PUBLISH_SQL = `
  WITH targets AS (
    SELECT DISTINCT consumer FROM bus.subscriptions WHERE name = $1 AND entity_type_id IN (0, $2)
  ), routed AS (
    INSERT INTO bus.messages (consumer, shard, content) SELECT consumer, $3, $4::json FROM targets
    RETURNING consumer
  ), unrouted AS (
    INSERT INTO bus.unrouted (content) SELECT $4::json WHERE NOT EXISTS (SELECT FROM targets)
    RETURNING id
  ), trimmed AS (
    DELETE FROM bus.unrouted WHERE id <= (SELECT id FROM unrouted) - $5
  )
  SELECT pg_notify('b24.bus.' || consumer, '') FROM routed`;

/** @param {string} url @returns {Promise<Publisher>} */
export async function postgresPublisher(url) {
  const pool = new pg.Pool({ connectionString: url, max: POOL_SIZE });
  return {
    publish: ({ name, entityTypeId, shard, content }) =>
      pool.query({
        name: 'publish',
        text: PUBLISH_SQL,
        values: [name, entityTypeId, shard, content.toString('utf8'), UNROUTED_MAX_ROWS],
      }),
    close: () => pool.end(),
  };
}
