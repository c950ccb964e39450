import type { TopologyPart } from '../../admin/bus-admin.js';
import { shards } from '../../contract/shard.js';
import {
  bindingKeyOf,
  consumerDeclarations,
  declareExchange,
  declareQueue,
  eventsDeclarations,
  EVENTS_EXCHANGE,
  shardQueue,
  UNROUTED_NAME,
  type ConsumerTopology,
  type Declarations,
  type ExchangeDeclaration,
  type QueueDeclaration,
} from '../topology.js';
import { AdminConnection, type AdminReply } from './admin-connection.js';

/** An exchange or a queue that does not exist. */
export interface MissingPart {
  kind: 'exchange' | 'queue';
  name: string;
  /** null: it belongs to all of them. */
  consumer: string | null;
}

interface Inspection {
  missing: MissingPart[];
  /** Messages in the queue of unrouted events. */
  unrouted: number;
}

interface Check extends MissingPart {
  probe: (broker: AdminConnection) => Promise<AdminReply<{ messageCount: number }>>;
}

/**
 * Checks whether everything exists; changes nothing. If it does, this is one round trip: RabbitMQ answers for a queue
 * without asking its leader.
 * @throws BusUnavailableError
 */
export async function inspectTopology(
  broker: AdminConnection,
  wanted: readonly ConsumerTopology[],
): Promise<Inspection> {
  const checks = [
    ...checksOf(null, eventsDeclarations),
    ...wanted.flatMap(({ consumer, retryDelaysMs }) =>
      checksOf(consumer, consumerDeclarations(consumer, retryDelaysMs)),
    ),
  ];
  const atOnce = await broker.request(async (channel) => {
    const [unrouted] = await Promise.all([
      channel.checkQueue(UNROUTED_NAME),
      ...checks.map(({ kind, name }) =>
        kind === 'queue' ? channel.checkQueue(name) : channel.checkExchange(name),
      ),
    ]);
    return unrouted.messageCount;
  });
  if (atOnce.kind === 'value') return { missing: [], unrouted: atOnce.value };
  // A missing part ended the channel for all checks: each part is now checked separately.
  const inspection: Inspection = { missing: [], unrouted: 0 };
  for (const { probe, ...part } of checks) {
    const answer = await probe(broker);
    if (answer.kind === 'missing') inspection.missing.push(part);
    if (answer.kind === 'value' && isUnroutedQueue(part)) inspection.unrouted = answer.value.messageCount;
  }
  return inspection;
}

const isUnroutedQueue = ({ kind, name }: MissingPart): boolean => kind === 'queue' && name === UNROUTED_NAME;

function checksOf(consumer: string | null, { exchanges, queues }: Declarations): Check[] {
  return [
    ...exchanges.map(({ name }): Check => ({
      kind: 'exchange',
      name,
      consumer,
      probe: (broker) =>
        broker.request(async (channel) => {
          await channel.checkExchange(name);
          return { messageCount: 0 };
        }),
    })),
    ...queues.map(({ name }): Check => ({
      kind: 'queue',
      name,
      consumer,
      probe: (broker) => broker.request((channel) => channel.checkQueue(name)),
    })),
  ];
}

/**
 * Declares and binds what is missing, exactly as the consumers themselves do. A part that cannot be declared, such as
 * a queue that exists with other arguments, does not block the others.
 * @returns what could not be declared, and why
 * @throws BusUnavailableError
 */
export async function declareTopology(
  broker: AdminConnection,
  wanted: readonly ConsumerTopology[],
): Promise<Map<string, string>> {
  const failed = new Map<string, string>();
  const make = async (name: string, answer: Promise<AdminReply<unknown>>): Promise<void> => {
    const { kind, ...more } = await answer;
    if (kind !== 'value') failed.set(name, 'detail' in more ? more.detail : kind);
  };
  const declareAll = async ({ exchanges, queues }: Declarations): Promise<void> => {
    for (const queue of queues) {
      await make(
        queue.name,
        broker.request((channel) => declareQueue(channel, queue)),
      );
    }
    for (const exchange of exchanges) {
      await make(
        exchange.name,
        broker.request((channel) => declareExchange(channel, exchange)),
      );
      // Every exchange but the events exchange has the name of the only queue that is bound to it.
      if (exchange.type !== 'fanout') continue;
      const bind = broker.request((channel) => channel.bindQueue(exchange.name, exchange.name, ''));
      await make(exchange.name, bind);
    }
  };
  // Queues first, so that they are bound an instant after the exchange appears.
  for (const { consumer, retryDelaysMs } of wanted) {
    await declareAll(consumerDeclarations(consumer, retryDelaysMs));
  }
  await declareAll(eventsDeclarations);
  // Event by event, not consumer by consumer: meanwhile an event with two subscribers is bound for both or for
  // neither, so that it is unrouted rather than lost for one.
  for (const shard of shards) {
    const declared = wanted.filter(({ consumer }) => !failed.has(shardQueue(consumer, shard)));
    const bindings = declared
      .flatMap(({ consumer, names }) =>
        names.map((name) => ({ queue: shardQueue(consumer, shard), key: bindingKeyOf(name, shard) })),
      )
      .toSorted((one, other) => one.key.localeCompare(other.key));
    const bind = broker.request((channel) =>
      Promise.all(bindings.map(({ queue, key }) => channel.bindQueue(queue, EVENTS_EXCHANGE, key))),
    );
    await make(`the bindings of shard ${shard}`, bind);
  }
  return failed;
}

/** Concurrent checks, each on its own connection: a queue without a leader takes seconds to detect. */
const CONCURRENCY = 4;

type PartCheck = (broker: AdminConnection) => Promise<TopologyPart>;

/** Compares exchanges and queues with what `declareEvents` and `declareConsumer` declare; declares nothing new. */
export async function checkTopology(
  url: string,
  consumers: Iterable<string>,
  retryDelaysMs: readonly number[],
): Promise<TopologyPart[]> {
  const checks = partChecksOf(null, eventsDeclarations);
  for (const consumer of consumers) {
    checks.push(...partChecksOf(consumer, consumerDeclarations(consumer, retryDelaysMs)));
  }
  const parts = new Map<PartCheck, TopologyPart>();
  const work = checks.values();
  const worker = (): Promise<void> =>
    AdminConnection.during(url, async (broker) => {
      for (const check of work) parts.set(check, await check(broker));
    });
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return checks.flatMap((check) => parts.get(check) ?? []);
}

function partChecksOf(consumer: string | null, { exchanges, queues }: Declarations): PartCheck[] {
  return [
    ...exchanges.map(
      (exchange): PartCheck =>
        (broker) =>
          checkExchange(broker, consumer, exchange),
    ),
    ...queues.map(
      (queue): PartCheck =>
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
  const there = await broker.request((channel) => channel.checkExchange(exchange.name));
  // Redeclared only where it exists: the broker then compares the arguments and creates nothing.
  const answer =
    there.kind === 'value' ? await broker.request((channel) => declareExchange(channel, exchange)) : there;
  return partOf('exchange', exchange.name, consumer, answer);
}

async function checkQueue(
  broker: AdminConnection,
  consumer: string | null,
  queue: QueueDeclaration,
): Promise<TopologyPart> {
  const there = await broker.request((channel) => channel.checkQueue(queue.name));
  if (there.kind !== 'value') return partOf('queue', queue.name, consumer, there);
  const same = await broker.request((channel) => declareQueue(channel, queue));
  if (same.kind !== 'value') return partOf('queue', queue.name, consumer, same);
  // A message count comes from the leader, so there is one.
  if (there.value.messageCount > 0) return partOf('queue', queue.name, consumer, same);
  return partOf('queue', queue.name, consumer, await checkOnLeader(broker, queue.name));
}

/**
 * Declarations are answered without the queue's leader; only a `basic.get` needs it. A queue with a single active
 * consumer rejects the get, and that answer comes from its leader. A message that arrives at this very moment is
 * requeued.
 */
async function checkOnLeader(broker: AdminConnection, queue: string): Promise<AdminReply<unknown>> {
  const answer = await broker.request(async (channel) => {
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
