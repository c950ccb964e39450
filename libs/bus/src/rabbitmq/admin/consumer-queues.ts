import { BusUnavailableError } from '../../contract/event-bus.js';
import { shards } from '../../contract/shard.js';
import {
  bindingKeyOf,
  consumerDeclarations,
  deadQueue,
  EVENTS_EXCHANGE,
  retryName,
  shardQueue,
} from '../topology.js';
import type { AdminConnection, AdminReply } from './admin-connection.js';

export interface QueueDepths {
  waiting: number;
  retrying: number;
  dead: number;
  /** Shard queues with a subscribed process. */
  shardsServed: number;
  /** Existing queues. */
  queues: number;
}

/** From passive declares, which need no plugin and count messages that no process has taken. */
export async function queueDepths(
  broker: AdminConnection,
  consumer: string,
  retryDelaysMs: readonly number[],
): Promise<QueueDepths> {
  const depths: QueueDepths = { waiting: 0, retrying: 0, dead: 0, shardsServed: 0, queues: 0 };
  const count = async (queue: string): Promise<{ messages: number; consumers: number }> => {
    const answer = await broker.request((channel) => channel.checkQueue(queue));
    if (answer.kind !== 'value') return { messages: 0, consumers: 0 };
    depths.queues += 1;
    return { messages: answer.value.messageCount, consumers: answer.value.consumerCount };
  };
  for (const shard of shards) {
    const { messages, consumers } = await count(shardQueue(consumer, shard));
    depths.waiting += messages;
    if (consumers > 0) depths.shardsServed += 1;
  }
  for (const delayMs of retryDelaysMs)
    depths.retrying += (await count(retryName(consumer, delayMs))).messages;
  depths.dead = (await count(deadQueue(consumer))).messages;
  return depths;
}

/**
 * Its queues receive none of these events from now on. RabbitMQ does not report a missing queue or binding as an
 * error.
 */
export async function unbindEvents(
  broker: AdminConnection,
  consumer: string,
  names: readonly string[],
): Promise<void> {
  for (const shard of shards) {
    for (const name of names) {
      requireValue(
        await broker.request((channel) =>
          channel.unbindQueue(shardQueue(consumer, shard), EVENTS_EXCHANGE, bindingKeyOf(name, shard)),
        ),
      );
    }
  }
}

/**
 * Quorum queues do not support `if-empty`: the caller has checked that they are empty. The dead letters go last, so
 * that an interrupted retirement stays visible and can be repeated.
 * @returns how many messages were deleted with them
 */
export async function deleteQueues(
  broker: AdminConnection,
  consumer: string,
  retryDelaysMs: readonly number[],
): Promise<number> {
  const { exchanges, queues } = consumerDeclarations(consumer, retryDelaysMs);
  let messages = 0;
  for (const { name } of exchanges) {
    requireValue(await broker.request((channel) => channel.deleteExchange(name)));
  }
  for (const { name } of queues.toReversed()) {
    messages += requireValue(await broker.request((channel) => channel.deleteQueue(name))).messageCount;
  }
  return messages;
}

function requireValue<T>(answer: AdminReply<T>): T {
  if (answer.kind === 'value') return answer.value;
  const detail = 'detail' in answer ? answer.detail : answer.kind;
  throw new BusUnavailableError('BUS_REFUSED', { cause: new Error(detail) });
}
