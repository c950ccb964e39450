import type { TopologyPart } from '../../admin/bus-admin.js';
import {
  consumerDeclarations,
  declareExchange,
  declareQueue,
  eventsDeclarations,
  type Declarations,
  type ExchangeDeclaration,
  type QueueDeclaration,
} from '../topology.js';
import { AdminConnection, type AdminReply } from './admin-connection.js';

/** Concurrent checks, each on its own connection: a queue without a leader takes seconds to detect. */
const AT_ONCE = 4;

type Check = (broker: AdminConnection) => Promise<TopologyPart>;

/** Compares exchanges and queues with what `declareEvents` and `declareConsumer` declare; declares nothing new. */
export async function checkTopology(
  url: string,
  consumers: Iterable<string>,
  retryDelaysMs: readonly number[],
): Promise<TopologyPart[]> {
  const checks = checksOf(null, eventsDeclarations);
  for (const consumer of consumers) {
    checks.push(...checksOf(consumer, consumerDeclarations(consumer, retryDelaysMs)));
  }
  const parts = new Map<Check, TopologyPart>();
  const work = checks.values();
  const worker = (): Promise<void> =>
    AdminConnection.during(url, async (broker) => {
      for (const check of work) parts.set(check, await check(broker));
    });
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return checks.flatMap((check) => parts.get(check) ?? []);
}

function checksOf(consumer: string | null, { exchanges, queues }: Declarations): Check[] {
  return [
    ...exchanges.map(
      (exchange): Check =>
        (broker) =>
          checkExchange(broker, consumer, exchange),
    ),
    ...queues.map(
      (queue): Check =>
        (broker) =>
          checkQueue(broker, consumer, queue),
    ),
  ];
}

async function checkExchange(
  broker: AdminConnection,
  consumer: string | null,
  exchange: ExchangeDeclaration,
): Promise<TopologyPart> {
  const there = await broker.ask((channel) => channel.checkExchange(exchange.name));
  // Redeclared only where it exists: the broker then compares the arguments and creates nothing.
  const answer =
    there.kind === 'value' ? await broker.ask((channel) => declareExchange(channel, exchange)) : there;
  return partOf('exchange', exchange.name, consumer, answer);
}

async function checkQueue(
  broker: AdminConnection,
  consumer: string | null,
  queue: QueueDeclaration,
): Promise<TopologyPart> {
  const there = await broker.ask((channel) => channel.checkQueue(queue.name));
  if (there.kind !== 'value') return partOf('queue', queue.name, consumer, there);
  const same = await broker.ask((channel) => declareQueue(channel, queue));
  if (same.kind !== 'value') return partOf('queue', queue.name, consumer, same);
  // A message count comes from the leader, so there is one.
  if (there.value.messageCount > 0) return partOf('queue', queue.name, consumer, same);
  return partOf('queue', queue.name, consumer, await askLeader(broker, queue.name));
}

/**
 * Declarations are answered without the queue's leader; only a `basic.get` needs it. A queue with a single active
 * consumer rejects the get, and that answer comes from its leader. A message that arrives at this very moment is
 * requeued.
 */
async function askLeader(broker: AdminConnection, queue: string): Promise<AdminReply<unknown>> {
  const answer = await broker.ask(async (channel) => {
    const message = await channel.get(queue);
    if (message) channel.nack(message);
  });
  return answer.kind === 'locked' ? { kind: 'value', value: undefined } : answer;
}

function partOf(
  kind: 'exchange' | 'queue',
  name: string,
  consumer: string | null,
  answer: AdminReply<unknown>,
): TopologyPart {
  const part = { kind, name, consumer };
  switch (answer.kind) {
    case 'value':
      return { ...part, state: 'ok', detail: null };
    case 'missing':
      return { ...part, state: 'missing', detail: null };
    case 'different':
      return { ...part, state: 'different', detail: answer.detail };
    case 'locked':
    case 'unavailable':
      return { ...part, state: 'unavailable', detail: 'detail' in answer ? answer.detail : 'it is locked' };
    default:
      return answer satisfies never;
  }
}
