import { shards } from '../../contract/shard.js';
import { deadQueue, retryName, shardQueue } from '../topology.js';
import type { AdminConnection } from './admin-connection.js';

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
    const answer = await broker.ask((channel) => channel.checkQueue(queue));
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
