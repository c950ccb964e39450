/** A server beside the gateway, in a process of its own. Ends with the process that started it. */
import { startBareServer } from './bare-server.mjs';
import { postgresPublisher, rabbitPublisher } from './publishers.mjs';

/** @typedef {'bare' | 'nest-fastify' | 'nest-express'} ServerKind */
/**
 * @typedef {object} Order
 * @property {ServerKind} kind
 * @property {number} port
 * @property {string | undefined} amqpUrl undefined: PostgreSQL is the bus
 * @property {string} databaseUrl
 * @property {[memberId: string, tokenHash: string][]} portals
 */

process.once('message', (/** @type {Order} */ order) => void start(order));
process.once('disconnect', () => process.exit());

/** @param {Order} order */
async function start({ kind, port, amqpUrl, databaseUrl, portals }) {
  const publisher = amqpUrl ? await rabbitPublisher(amqpUrl) : await postgresPublisher(databaseUrl);
  const hashes = new Map(portals.map(([memberId, hash]) => [memberId, Buffer.from(hash, 'hex')]));
  if (kind === 'bare') {
    await startBareServer(hashes, publisher, port);
  } else {
    const { startNestServer } = await import('./nest-server.mjs');
    await startNestServer(kind === 'nest-fastify' ? 'fastify' : 'express', hashes, publisher, port);
  }
  process.send?.('listening');
}
