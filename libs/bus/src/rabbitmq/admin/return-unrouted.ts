import type { Log } from '@relay/platform';
import type { ConsumeMessage } from 'amqplib';
import { eventIn } from '../../admin/dead-letter.js';
import type { UnroutedEvent } from '../../admin/unrouted.js';
import { BusUnavailableError } from '../../event-bus.js';
import type { ConfirmedPublisher } from '../confirmed-publisher.js';
import { parseRoutingKey, shardQueue, UNROUTED_MAX_LENGTH, UNROUTED_NAME } from '../topology.js';
import { awaitReturn, browse } from './browse.js';
import type { AdminConnection } from './admin-connection.js';
import { openReplayPublisher } from './replay-publisher.js';

/** Half of what the broker lets be on its way. */
const ACK_GROUP = 16;
/** More than lie there, whose number is counted before they are taken. */
const BROWSE_LIMIT = 2 * UNROUTED_MAX_LENGTH;

export interface ReturnOptions {
  url: string;
  log: Log;
  /** Consumers that an event is for; none: it stays. */
  ownersOf: (event: UnroutedEvent) => readonly string[];
  /** Called once before the first is brought back: the queues that they go to must stand. */
  beforeFirst?: () => Promise<void>;
}

export interface Returned {
  /** Events brought back. */
  returned: number;
  /** Events that stay. */
  left: number;
  /** Of these, the ones that are wanted: a queue that they go to does not stand or takes none. */
  waiting: number;
  /** Events by consumer: one that two want counts for both. */
  byOwner: Map<string, number>;
}

interface Owned {
  message: ConsumeMessage;
  queues: string[];
  owners: readonly string[];
}

/**
 * Brings events out of `b24.unrouted` to the queues of those whom they are for: stored there before they are gone here.
 * Nobody had a queue for them when they came, so no consumer has got them already. Whoever calls holds the operators' lock.
 * @throws BusUnavailableError; what was not brought back lies there as before
 */
export async function returnUnrouted(
  broker: AdminConnection,
  { url, log, ownersOf, beforeFirst }: ReturnOptions,
): Promise<Returned> {
  const there = await broker.ask((channel) => channel.checkQueue(UNROUTED_NAME));
  if (there.kind !== 'value' || there.value.messageCount === 0) {
    return { returned: 0, left: 0, waiting: 0, byOwner: new Map() };
  }
  const channel = await broker.openChannel();
  const owned: Owned[] = [];
  const byOwner = new Map<string, number>();
  let publisher: ConfirmedPublisher | undefined;
  let [found, returned] = [0, 0];
  try {
    ({ found } = await browse(channel, UNROUTED_NAME, BROWSE_LIMIT, (message) => {
      const one = owns(message, ownersOf);
      if (one) owned.push(one);
    }));
    if (owned.length > 0) {
      await beforeFirst?.();
      // Publishing to one that is not there ends the connection for all others.
      const missing = await missingQueues(broker, owned);
      const ready = owned.filter(({ queues }) => !queues.some((queue) => missing.has(queue)));
      const opened = (publisher = await openReplayPublisher(url, log));
      for (let at = 0; at < ready.length; at += ACK_GROUP) {
        const lot = ready.slice(at, at + ACK_GROUP);
        const outcomes = await Promise.allSettled(lot.map((one) => publish(opened, one)));
        const isAway = outcomes.find(
          (outcome) => outcome.status === 'rejected' && !isOfOneQueue(outcome.reason),
        );
        if (isAway?.status === 'rejected') throw isAway.reason;
        const group = lot.filter((_, index) => outcomes[index]?.status === 'fulfilled');
        for (const { message, owners } of group) {
          channel.ack(message);
          for (const owner of owners) byOwner.set(owner, (byOwner.get(owner) ?? 0) + 1);
        }
        // The broker forgets acks that are still on their way when the channel closes; this is answered after them.
        await channel.get(UNROUTED_NAME);
        returned += group.length;
      }
    }
  } finally {
    await publisher?.close();
    await channel.close().catch(() => undefined);
    await awaitReturn(broker, UNROUTED_NAME, found - returned);
  }
  return { returned, left: found - returned, waiting: owned.length - returned, byOwner };
}

/** One that takes nothing keeps back what is for the others no longer than its own. */
function isOfOneQueue(reason: unknown): boolean {
  return (
    reason instanceof BusUnavailableError && (reason.code === 'BUS_REFUSED' || reason.code === 'BUS_TIMEOUT')
  );
}

async function missingQueues(broker: AdminConnection, owned: readonly Owned[]): Promise<Set<string>> {
  const missing = new Set<string>();
  for (const queue of new Set(owned.flatMap(({ queues }) => queues))) {
    const { kind } = await broker.ask((channel) => channel.checkQueue(queue));
    if (kind === 'missing') missing.add(queue);
  }
  return missing;
}

/** By its routing key, which tells also of a message that a newer version wrote. */
function owns(message: ConsumeMessage, ownersOf: ReturnOptions['ownersOf']): Owned | undefined {
  const key = parseRoutingKey(message.fields.routingKey);
  if (!key) return undefined;
  const event = eventIn(message.content);
  const owners = ownersOf({ ...key, memberId: event?.memberId, receivedAt: event?.receivedAt });
  if (owners.length === 0) return undefined;
  const { fields, properties } = message;
  return {
    // A copy of the content: it is a view into a far larger buffer of the socket.
    message: { fields, properties, content: Buffer.from(message.content) },
    queues: owners.map((owner) => shardQueue(owner, key.shard)),
    owners,
  };
}

async function publish(publisher: ConfirmedPublisher, { message, queues }: Owned): Promise<void> {
  const { content, properties } = message;
  const { messageId, headers }: { messageId?: unknown; headers?: unknown } = properties;
  const traceparent: unknown = Object(headers)['traceparent'];
  const copy = {
    exchange: '',
    content,
    messageId: typeof messageId === 'string' ? messageId : undefined,
    ...(typeof traceparent === 'string' && { headers: { traceparent } }),
  };
  for (const routingKey of queues) await publisher.publish({ ...copy, routingKey });
}
