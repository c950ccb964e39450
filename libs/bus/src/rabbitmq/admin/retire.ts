import { BusUnavailableError } from '../../event-bus.js';
import { shards } from '../../shard.js';
import { bindingKeyOf, consumerDeclarations, EVENTS_EXCHANGE, shardQueue } from '../topology.js';
import type { AdminReply, AdminConnection } from './admin-connection.js';

/** From now on its queues get none of these events. A queue or a binding that is not there is no error in RabbitMQ. */
export async function unbindEvents(
  broker: AdminConnection,
  consumer: string,
  names: readonly string[],
): Promise<void> {
  for (const shard of shards) {
    for (const name of names) {
      requireValue(
        await broker.ask((channel) =>
          channel.unbindQueue(shardQueue(consumer, shard), EVENTS_EXCHANGE, bindingKeyOf(name, shard)),
        ),
      );
    }
  }
}

/**
 * Quorum queues know no `if-empty`: the caller has seen to it that they are. The dead letters go last, so that a
 * retirement that breaks off can be seen and done once more.
 * @returns how many messages went with them
 */
export async function deleteQueues(
  broker: AdminConnection,
  consumer: string,
  retryDelaysMs: readonly number[],
): Promise<number> {
  const { exchanges, queues } = consumerDeclarations(consumer, retryDelaysMs);
  let messages = 0;
  for (const { name } of exchanges) {
    requireValue(await broker.ask((channel) => channel.deleteExchange(name)));
  }
  for (const { name } of queues.toReversed()) {
    messages += requireValue(await broker.ask((channel) => channel.deleteQueue(name))).messageCount;
  }
  return messages;
}

function requireValue<T>(answer: AdminReply<T>): T {
  if (answer.kind === 'value') return answer.value;
  const detail = 'detail' in answer ? answer.detail : answer.kind;
  throw new BusUnavailableError('BUS_REFUSED', { cause: new Error(detail) });
}
