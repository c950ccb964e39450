/** What the bus still holds for the consumer, read from the broker and the database directly. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import amqp from 'amqplib';
import pg from 'pg';
import { z } from 'zod';
import { brokerControl } from '../support/private-broker.mjs';

const consumer = 'ledger';

/**
 * @typedef {object} DeadLetter
 * @property {string} code
 * @property {string} message
 * @property {string} content
 */

/** Waiting, unacked and retrying messages. @param {import('./system.mjs').System} system @returns {Promise<number>} */
export async function waitingIn({ broker, database }) {
  if (!broker) {
    const [row] = await rowsOf(database.url, 'SELECT count(*)::int AS waiting FROM bus.messages');
    return Number(row?.['waiting']);
  }
  const { stdout } = await promisify(execFile)(
    brokerControl,
    ['-n', broker.node, '-q', 'list_queues', '--no-table-headers', 'name', 'messages'],
    { env: { ...process.env, HOME: broker.home } },
  );
  const queues = stdout.split('\n').map((line) => line.trim().split(/\s+/));
  return queues
    .filter(([name = '']) => name.startsWith(`b24.${consumer}.`) && !name.endsWith('.dead'))
    .reduce((sum, [, messages]) => sum + Number(messages), 0);
}

/** Events that arrived while the consumer's queues were not bound. @param {import('./system.mjs').System} system */
export async function unroutedIn({ broker, database }) {
  if (!broker) {
    const [row] = await rowsOf(database.url, 'SELECT count(*)::int AS unrouted FROM bus.unrouted');
    return Number(row?.['unrouted']);
  }
  const connection = await amqp.connect(broker.url);
  try {
    const channel = await connection.createChannel();
    return (await channel.checkQueue('b24.unrouted')).messageCount;
  } finally {
    await connection.close();
  }
}

/**
 * Messages in the database although the bus is RabbitMQ; in the opposite case there is no broker.
 * @param {import('./system.mjs').System} system
 */
export async function elsewhereIn({ broker, database }) {
  if (!broker) return 0;
  const [row] = await rowsOf(
    database.url,
    `SELECT (SELECT count(*) FROM bus.messages) + (SELECT count(*) FROM bus.unrouted)
       + (SELECT count(*) FROM bus.dead_letters) AS messages`,
  );
  return Number(row?.['messages']);
}

const count = z.number().default(0);
const slot = z.looseObject({ events: count, newer: count, unreadable: count });
const state = z.looseObject({ journal: slot.extend({ others: z.array(slot) }) });

/**
 * Events in every slot, including those that only a gateway of another version can read, as the gateways reported it a
 * few seconds ago.
 * @param {import('./system.mjs').System} system
 */
export async function journalledIn({ database }) {
  const rows = await rowsOf(
    database.url,
    `SELECT state FROM platform.service_processes
     WHERE service = 'gateway' AND reported_at > now() - interval '20 seconds' ORDER BY started_at`,
  );
  let found = 0;
  for (const [index, row] of rows.entries()) {
    const { others, ...own } = state.parse(row['state']).journal;
    // All gateways share one folder: each would report the orphaned slots.
    for (const { events, newer, unreadable } of index === 0 ? [own, ...others] : [own]) {
      found += events + newer + unreadable;
    }
  }
  return found;
}

/** @param {import('./system.mjs').System} system @returns {Promise<DeadLetter[]>} */
export async function deadLettersIn({ broker, database }) {
  if (!broker) {
    const rows = await rowsOf(
      database.url,
      'SELECT code, message, content::text AS content FROM bus.dead_letters',
    );
    return rows.map(({ code, message, content }) => ({
      code: String(code),
      message: String(message),
      content: String(content),
    }));
  }
  const connection = await amqp.connect(broker.url);
  try {
    const channel = await connection.createChannel();
    /** @type {DeadLetter[]} */
    const letters = [];
    for (;;) {
      const message = await channel.get(`b24.${consumer}.dead`, { noAck: true });
      if (!message) return letters;
      const { headers } = message.properties;
      letters.push({
        code: String(headers?.['b24-code']),
        message: String(headers?.['b24-message']),
        content: message.content.toString(),
      });
    }
  } finally {
    await connection.close();
  }
}

/** @param {string} url @param {string} sql @returns {Promise<Record<string, unknown>[]>} */
async function rowsOf(url, sql) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
