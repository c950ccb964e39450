import { parseEventName, type PortalEvent } from '@relay/events';
import type { Channel } from 'amqplib';
import { tierName } from '../retry-delays.js';
import { shardOf, shards } from '../shard.js';

/** What the topology is made with. RabbitMQ cannot change a queue's arguments later: a new value needs a new name. */
export interface ConsumerTopology {
  consumer: string;
  names: readonly string[];
  retryDelaysMs: readonly number[];
}

export const eventsExchange = 'b24.events';
/** Exchange and queue of events that nobody subscribes to. */
export const unroutedName = 'b24.unrouted';
const unroutedMaxLength = 10_000;
const unroutedMaxBytes = 16 * 1024 * 1024;

export const shardQueue = (consumer: string, shard: number): string => `b24.${consumer}.${shard}`;
/** Queue and the fanout exchange before it. */
export const retryName = (consumer: string, delayMs: number): string =>
  `b24.${consumer}.retry.${tierName(delayMs)}`;
export const deadQueue = (consumer: string): string => `b24.${consumer}.dead`;

/** `<EVENT>.<entityTypeId or 0>.<shard>`. A name may have dots of its own (`CATALOG.PRICE.ON.ADD`): only words more. */
export function routingKeyOf({ name, entityTypeId, memberId }: PortalEvent): string {
  return `${name}.${entityTypeId}.${shardOf(memberId)}`;
}

/** A base name is bound for every type, a suffixed one for its own. */
export function bindingKeyOf(eventName: string, shard: number): string {
  const { name, entityTypeId } = parseEventName(eventName);
  return `${name}.${entityTypeId === 0 ? '*' : entityTypeId}.${shard}`;
}

const quorum = {
  'x-queue-type': 'quorum',
  // Absent means 20 on RabbitMQ 4 and silent loss after it; -1 loses at the first redelivery on 3.10.
  'x-delivery-limit': 1_000_000,
};

/** The exchange that the gateway publishes to, and the room for what nobody wants. */
export async function declareEvents(channel: Channel): Promise<void> {
  await channel.assertExchange(unroutedName, 'fanout', { durable: true });
  await channel.assertQueue(unroutedName, {
    durable: true,
    arguments: {
      ...quorum,
      'x-max-length': unroutedMaxLength,
      'x-max-length-bytes': unroutedMaxBytes,
      'x-overflow': 'drop-head',
    },
  });
  await channel.bindQueue(unroutedName, unroutedName, '');
  await channel.assertExchange(eventsExchange, 'topic', { durable: true, alternateExchange: unroutedName });
}

/**
 * The broker looks at the permission to write at the first publish only, and closes the channel then. To take away a
 * binding that is not there needs the same permission (and to read `unroutedName`), and does nothing else.
 */
export async function requireWritable(channel: Channel, exchange: string): Promise<void> {
  await channel.unbindExchange(exchange, unroutedName, 'never-bound');
}

/**
 * All queues of one consumer. The shard queues have no length limit: one full queue would make the broker refuse the
 * publish for all of its siblings. Bound last, so that a consumer whose queues cannot be made gets no events yet.
 * Bindings of an event that the consumer has given up stay: AMQP cannot list them, and a sibling process of another
 * version may still want them. A person removes them; until then the dispatcher treats such an event as NO_HANDLER.
 */
export async function declareConsumer(channel: Channel, topology: ConsumerTopology): Promise<void> {
  const { consumer, names, retryDelaysMs } = topology;
  await channel.assertQueue(deadQueue(consumer), { durable: true, arguments: quorum });
  for (const shard of shards) {
    await channel.assertQueue(shardQueue(consumer, shard), {
      durable: true,
      // One process at a time serves a shard, and with it a portal; the others stand by.
      arguments: { ...quorum, 'x-single-active-consumer': true },
    });
  }
  for (const delayMs of retryDelaysMs) await declareRetryTier(channel, consumer, delayMs);
  for (const shard of shards) {
    for (const name of names) {
      await channel.bindQueue(shardQueue(consumer, shard), eventsExchange, bindingKeyOf(name, shard));
    }
  }
}

/**
 * A message is published with the shard queue as its routing key; the fanout exchange ignores that, and when the TTL is
 * over the default exchange follows it. A fixed TTL for each queue, since one for each message blocks behind a longer
 * one; tiers for each consumer, since a missing queue freezes its tier for everybody behind.
 */
async function declareRetryTier(channel: Channel, consumer: string, delayMs: number): Promise<void> {
  const name = retryName(consumer, delayMs);
  await channel.assertExchange(name, 'fanout', { durable: true });
  await channel.assertQueue(name, {
    durable: true,
    arguments: {
      ...quorum,
      'x-message-ttl': delayMs,
      'x-dead-letter-exchange': '',
      'x-dead-letter-strategy': 'at-least-once',
      // At-least-once dead-lettering asks for it.
      'x-overflow': 'reject-publish',
    },
  });
  await channel.bindQueue(name, name, '');
  await requireWritable(channel, name);
}
