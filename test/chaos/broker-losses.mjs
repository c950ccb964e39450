/**
 * Losses of RabbitMQ state that must not lose events: a queue or the broker's whole disk, each only while it is empty,
 * since deleted messages are gone; and the exchange at any time. Consumers are disconnected meanwhile, and events are
 * still answered.
 */
import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import amqp from 'amqplib';
import { brokerControl } from '../support/private-broker.mjs';
import { deadLettersIn } from './bus-view.mjs';

/** @typedef {import('./system.mjs').System} System */

/** Time until everything in flight is handled, including a retry. */
const emptyTimeoutMs = 75_000;
const pollEveryMs = 500;
/** A quorum queue tells its counts every five seconds (`quorum_tick_interval`): what has just come is not in them. */
const countDelayMs = 6_000;
/** RabbitMQ 3.10.8 leaves a quorum queue without a leader for minutes when it is killed right after declaring it. */
const confirmDelayMs = 10_000;
const shards = 16;
/** Shorter runs skip these faults. */
const leastSeconds = 60;

/** @type {import('./faults.mjs').Fault[]} */
export const brokerLosses = [
  {
    kind: 'exchange of the broker deleted',
    targets: () => ['broker'],
    seconds: [0, 0],
    leastSeconds,
    make: async (system) => {
      await atBroker(system, (channel) => channel.deleteExchange('b24.events'));
    },
  },
  {
    kind: 'queue of the broker deleted',
    targets: () => ['broker'],
    seconds: [4, 8],
    leastSeconds,
    make: (system, _, ms) =>
      whileEmpty(system, async () => {
        const queue = `b24.ledger.${ms % shards}`;
        const { messageCount } = await atBroker(system, (channel) => channel.deleteQueue(queue));
        if (messageCount > 0) throw new Error(`${messageCount} messages were deleted with ${queue}`);
        system.doors?.gateways.open();
        await pause(ms);
      }),
  },
  {
    kind: 'broker that comes back empty',
    targets: () => ['broker'],
    seconds: [4, 8],
    leastSeconds,
    make: (system, _, ms) =>
      whileEmpty(system, async () => {
        await system.broker?.wipe();
        // The gateways first.
        system.doors?.gateways.open();
        await pause(ms);
      }),
  },
];

/**
 * Disconnects the gateways from the broker (events go to the journals), then the consumers once the broker is empty.
 * @param {System} system
 * @param {() => Promise<void>} work
 * @returns {Promise<string | void>} why it was left out
 */
async function whileEmpty(system, work) {
  const { doors } = system;
  if (!doors) return 'there is no broker';
  doors.gateways.shut();
  try {
    await pause(countDelayMs);
    for (const deadline = performance.now() + emptyTimeoutMs; (await messagesIn(system)) > 0;) {
      if (performance.now() > deadline) return 'left out, since the broker was never empty';
      await pause(pollEveryMs);
    }
    doors.consumers.shut();
    // A message may have been on its way back.
    await pause(countDelayMs);
    if ((await messagesIn(system)) > 0) return 'left out, since the broker was not empty any more';
    system.savedLetters.push(...(await deadLettersIn(system)));
    await work();
  } finally {
    doors.gateways.open();
    doors.consumers.open();
  }
  await pause(confirmDelayMs);
}

/** Waiting, unacked, retrying and unrouted messages. @param {System} system */
async function messagesIn({ broker }) {
  if (!broker) return 0;
  const { stdout } = await promisify(execFile)(
    brokerControl,
    ['-n', broker.node, '-q', 'list_queues', '--no-table-headers', 'name', 'messages'],
    { env: { ...process.env, HOME: broker.home } },
  );
  return stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([name = '']) => name.startsWith('b24.') && !name.endsWith('.dead'))
    .reduce((sum, [, messages]) => sum + Number(messages), 0);
}

/** @template T @param {System} system @param {(channel: import('amqplib').Channel) => Promise<T>} work @returns {Promise<T>} */
async function atBroker({ broker }, work) {
  const connection = await amqp.connect(broker?.url ?? '');
  try {
    return await work(await connection.createChannel());
  } finally {
    await connection.close();
  }
}
