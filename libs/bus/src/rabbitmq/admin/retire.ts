import { BusUnavailableError } from '../../contract/event-bus.js';
import { shards } from '../../contract/shard.js';
import { bindingKeyOf, consumerDeclarations, EVENTS_EXCHANGE, shardQueue } from '../topology.js';
import type { AdminReply, AdminConnection } from './admin-connection.js';

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
        await broker.ask((channel) =>
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
