import { parseEventName, type PortalEvent } from '@relay/events';
import type { Channel } from 'amqplib';
import { tierName } from '../contract/retry-delays.js';
import { shardOf, shards } from '../contract/shard.js';

/** Parameters of the declarations. RabbitMQ cannot change a queue's arguments later: a new value needs a new name. */
export interface ConsumerTopology {
  consumer: string;
  names: readonly string[];
  retryDelaysMs: readonly number[];
}

export const EVENTS_EXCHANGE = 'b24.events';
/** Exchange and queue of events without a subscriber. */
export const UNROUTED_NAME = 'b24.unrouted';
export const UNROUTED_MAX_LENGTH = 10_000;
const UNROUTED_MAX_BYTES = 16 * 1024 * 1024;

export const shardQueue = (consumer: string, shard: number): string => `b24.${consumer}.${shard}`;
/** The queue and the fanout exchange in front of it. */
export const retryName = (consumer: string, delayMs: number): string =>
  `b24.${consumer}.retry.${tierName(delayMs)}`;
export const deadQueue = (consumer: string): string => `b24.${consumer}.dead`;

/** `<EVENT>.<entityTypeId or 0>.<shard>`. Dots in the name (`CATALOG.PRICE.ON.ADD`) only add words to the key. */
export function routingKeyOf({ name, entityTypeId, memberId }: PortalEvent): string {
  return `${name}.${entityTypeId}.${shardOf(memberId)}`;
}

/** A base name is bound for every type, a suffixed one for its own. */
export function bindingKeyOf(eventName: string, shard: number): string {
  const { name, entityTypeId } = parseEventName(eventName);
  return `${name}.${entityTypeId === 0 ? '*' : entityTypeId}.${shard}`;
}

/** Parses a routing key; undefined for one of another format. */
export function parseRoutingKey(
  routingKey: string,
): { name: string; entityTypeId: number; shard: number } | undefined {
  const [, name, entityTypeId, shard] = /^(.+)\.(\d+)\.(\d+)$/.exec(routingKey) ?? [];
  if (name === undefined || !shards.includes(Number(shard))) return undefined;
  return { name, entityTypeId: Number(entityTypeId), shard: Number(shard) };
}

const QUORUM = {
  'x-queue-type': 'quorum',
  // If absent, RabbitMQ 4 uses 20 and then drops the message silently; -1 drops it at the first redelivery on 3.10.
  'x-delivery-limit': 1_000_000,
};

export interface QueueDeclaration {
  name: string;
  arguments: Readonly<Record<string, string | number | boolean>>;
}

export interface ExchangeDeclaration {
  name: string;
  type: 'topic' | 'fanout';
  alternateExchange?: string;
}

export interface Declarations {
  exchanges: readonly ExchangeDeclaration[];
  queues: readonly QueueDeclaration[];
}

/** The exchange that the gateway publishes to, and the queue of unrouted events. */
export const eventsDeclarations: Declarations = {
  exchanges: [
    { name: UNROUTED_NAME, type: 'fanout' },
    { name: EVENTS_EXCHANGE, type: 'topic', alternateExchange: UNROUTED_NAME },
  ],
  queues: [
    {
      name: UNROUTED_NAME,
      arguments: {
        ...QUORUM,
        'x-max-length': UNROUTED_MAX_LENGTH,
        'x-max-length-bytes': UNROUTED_MAX_BYTES,
        'x-overflow': 'drop-head',
      },
    },
  ],
};

/**
 * Everything that belongs to one consumer. The shard queues have no length limit: one full queue would make the broker
 * reject the publish for all other consumers.
 */
export function consumerDeclarations(consumer: string, retryDelaysMs: readonly number[]): Declarations {
  return {
    exchanges: retryDelaysMs.map((delayMs) => ({ name: retryName(consumer, delayMs), type: 'fanout' })),
    queues: [
      { name: deadQueue(consumer), arguments: QUORUM },
      ...shards.map((shard) => ({
        name: shardQueue(consumer, shard),
        // One process at a time serves a shard, and with it a portal; the others stand by.
        arguments: { ...QUORUM, 'x-single-active-consumer': true },
      })),
      ...retryDelaysMs.map((delayMs) => ({
        name: retryName(consumer, delayMs),
        arguments: {
          ...QUORUM,
          'x-message-ttl': delayMs,
          'x-dead-letter-exchange': '',
          'x-dead-letter-strategy': 'at-least-once',
          // Required by at-least-once dead-lettering.
          'x-overflow': 'reject-publish',
        },
      })),
    ],
  };
}

export async function declareExchange(
  channel: Channel,
  { name, type, alternateExchange }: ExchangeDeclaration,
): Promise<void> {
  await channel.assertExchange(name, type, { durable: true, alternateExchange });
}

export async function declareQueue(channel: Channel, queue: QueueDeclaration): Promise<void> {
  await channel.assertQueue(queue.name, { durable: true, arguments: queue.arguments });
}

export async function declareEvents(channel: Channel): Promise<void> {
  await declareAll(channel, eventsDeclarations);
  await channel.bindQueue(UNROUTED_NAME, UNROUTED_NAME, '');
}

/**
 * The broker checks the write permission only at the first publish, and closes the channel then. Removing a missing
 * binding needs the same permission (and read permission on `unroutedName`), and has no other effect.
 */
export async function requireWritable(channel: Channel, exchange: string): Promise<void> {
  await channel.unbindExchange(exchange, UNROUTED_NAME, 'never-bound');
}

/**
 * Bound last, so that a consumer whose queues cannot be declared receives no events yet. Bindings of an event that the
 * consumer has given up stay: AMQP cannot list them, and another process of another version may still need them. An
 * operator removes them; until then the dispatcher treats such an event as NO_HANDLER.
 *
 * A message for a retry tier is published with the shard queue as its routing key; the fanout exchange ignores the
 * key, and when the TTL expires the default exchange routes by it. TTLs are per queue, since a per-message TTL blocks
 * behind a longer one; tiers are per consumer, since a missing target queue blocks its tier for everything behind it.
 */
export async function declareConsumer(channel: Channel, topology: ConsumerTopology): Promise<void> {
  const { consumer, names, retryDelaysMs } = topology;
  await declareAll(channel, consumerDeclarations(consumer, retryDelaysMs));
  for (const delayMs of retryDelaysMs) {
    const name = retryName(consumer, delayMs);
    await channel.bindQueue(name, name, '');
    await requireWritable(channel, name);
  }
  for (const shard of shards) {
    for (const name of names) {
      await channel.bindQueue(shardQueue(consumer, shard), EVENTS_EXCHANGE, bindingKeyOf(name, shard));
    }
  }
}

async function declareAll(channel: Channel, { exchanges, queues }: Declarations): Promise<void> {
  for (const queue of queues) await declareQueue(channel, queue);
  for (const exchange of exchanges) await declareExchange(channel, exchange);
}
