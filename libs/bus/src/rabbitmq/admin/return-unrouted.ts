import type { Log } from '@relay/platform';
import type { ConsumeMessage } from 'amqplib';
import { eventIn } from '../../admin/dead-letter-store.js';
import type { UnroutedEvent } from '../../admin/unrouted.js';
import { BusUnavailableError } from '../../contract/event-bus.js';
import type { ConfirmedPublisher } from '../confirmed-publisher.js';
import { parseRoutingKey, shardQueue, UNROUTED_MAX_LENGTH, UNROUTED_NAME } from '../topology.js';
import { awaitReturn, browse } from './browse.js';
import { openReplayPublisher, type AdminConnection } from './admin-connection.js';

/** Half of the 32 unconfirmed acks that the broker allows. */
const ACK_GROUP = 16;
/** More than the queue holds; its messages are counted before they are taken. */
const BROWSE_LIMIT = 2 * UNROUTED_MAX_LENGTH;

interface ReturnOptions {
  url: string;
  log: Log;
  /** The consumers that subscribe to an event; none: it stays. */
  ownersOf: (event: UnroutedEvent) => readonly string[];
  /** Called once before the first event is returned: the target queues must exist. */
  beforeFirst?: () => Promise<void>;
}

interface ReturnResult {
  /** Events returned to their consumers. */
  returned: number;
  /** Events that stay. */
  left: number;
  /** Of these, events with a subscriber: one of their target queues is missing or accepts nothing. */
  waiting: number;
  /** Events by consumer: an event with two subscribers counts for both. */
  byOwner: Map<string, number>;
}

interface Owned {
  message: ConsumeMessage;
  queues: string[];
  owners: readonly string[];
}

/**
 * Moves events from `b24.unrouted` to the queues of their subscribers: stored there before they are acked here. No
 * subscriber had a queue for them when they arrived, so none has received them already. The caller holds the operator
 * lock.
 * @throws BusUnavailableError; events that were not moved stay unchanged
 */
export async function returnUnrouted(
  broker: AdminConnection,
  { url, log, ownersOf, beforeFirst }: ReturnOptions,
): Promise<ReturnResult> {
  const there = await broker.request((channel) => channel.checkQueue(UNROUTED_NAME));
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
      // A publish to a missing queue ends the connection for all others.
      const missing = await missingQueues(broker, owned);
      const ready = owned.filter(({ queues }) => !queues.some((queue) => missing.has(queue)));
      const opened = (publisher = await openReplayPublisher(url, log));
      for (let at = 0; at < ready.length; at += ACK_GROUP) {
        const batch = ready.slice(at, at + ACK_GROUP);
        const outcomes = await Promise.allSettled(batch.map((one) => publish(opened, one)));
        const isAway = outcomes.find(
          (outcome) => outcome.status === 'rejected' && !isOfOneQueue(outcome.reason),
        );
        if (isAway?.status === 'rejected') throw isAway.reason;
        const group = batch.filter((_, index) => outcomes[index]?.status === 'fulfilled');
        for (const { message, owners } of group) {
          channel.ack(message);
          for (const owner of owners) byOwner.set(owner, (byOwner.get(owner) ?? 0) + 1);
        }
        // The broker drops acks that are still in flight when the channel closes; this get is answered after them.
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

/** A queue that rejects messages delays only its own, not those of other queues. */
function isOfOneQueue(reason: unknown): boolean {
  return (
    reason instanceof BusUnavailableError && (reason.code === 'BUS_REFUSED' || reason.code === 'BUS_TIMEOUT')
  );
}

async function missingQueues(broker: AdminConnection, owned: readonly Owned[]): Promise<Set<string>> {
  const missing = new Set<string>();
  for (const queue of new Set(owned.flatMap(({ queues }) => queues))) {
    const { kind } = await broker.request((channel) => channel.checkQueue(queue));
    if (kind === 'missing') missing.add(queue);
  }
  return missing;
}

/** Uses the routing key, which is readable even for a message of a newer version. */
function owns(message: ConsumeMessage, ownersOf: ReturnOptions['ownersOf']): Owned | undefined {
  const key = parseRoutingKey(message.fields.routingKey);
  if (!key) return undefined;
  const event = eventIn(message.content);
  const owners = ownersOf({ ...key, memberId: event?.memberId, receivedAt: event?.receivedAt });
  if (owners.length === 0) return undefined;
  const { fields, properties } = message;
  return {
    // Copies the content, which is a view into a far larger socket buffer.
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
