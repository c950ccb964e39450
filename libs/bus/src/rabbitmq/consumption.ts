import { createHash, randomUUID } from 'node:crypto';
import { decodeMessage, isOfNewerVersion, type PortalEvent } from '@relay/events';
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import type { BusHealth } from '../connection/connection-report.js';
import { ConnectionReport } from '../connection/connection-report.js';
import { Reconnector, type Session } from '../connection/reconnector.js';
import { type Consumption, type ConsumeOptions, DEFAULT_PREFETCH } from '../contract/event-bus.js';
import { toFailure } from '../contract/failure.js';
import { NEWER_CODE, NewerMessages } from '../contract/newer-messages.js';
import { shards } from '../contract/shard.js';
import { ChannelAcks } from './channel-acks.js';
import { closeQuietly, connect, watchChannel } from './connection.js';
import { keepContent, RabbitReceipt, type SettleContext } from './receipt.js';
import { readRetryMetadata } from './retry-metadata.js';
import { declareConsumer, declareEvents, shardQueue } from './topology.js';

interface SessionContext extends SettleContext {
  /** Identifies this subscriber among the consumer's replicas. */
  readonly replica: string;
  readonly newer: NewerMessages;
}

/** One consumer's 16 shard queues on its own connection, subscribed again whenever that connection ends. */
export class RabbitConsumption implements Consumption {
  private readonly sessions: Reconnector<Session>;
  private readonly newerMessages: NewerMessages;

  constructor(url: string, options: ConsumeOptions, settling: SettleContext, busHealth?: BusHealth) {
    // Constant for the lifetime of this object: a reconnect must not move shards.
    this.newerMessages = new NewerMessages(options.consumer, settling.log);
    const context: SessionContext = { ...settling, replica: randomUUID(), newer: this.newerMessages };
    this.sessions = new Reconnector({
      report: new ConnectionReport({
        name: `consume ${options.consumer}`,
        address: 'AMQP_URL',
        log: context.log,
        busHealth,
      }),
      open: (onEnd) => openSession(url, options, context, onEnd),
    });
  }

  /** Resolves when the queues are bound. */
  async start(signal?: AbortSignal): Promise<void> {
    await this.sessions.start();
    await this.sessions.opened(signal);
  }

  isReady(): boolean {
    return this.sessions.current !== undefined;
  }

  newer(): number {
    return this.newerMessages.count;
  }

  stop(): Promise<void> {
    return this.sessions.close();
  }
}

async function openSession(
  url: string,
  options: ConsumeOptions,
  context: SessionContext,
  onEnd: (cause: Error) => void,
): Promise<Session> {
  const state = { open: true };
  const end = (cause: Error): void => {
    state.open = false;
    onEnd(cause);
  };
  return connect(url, `consume ${options.consumer}`, end, async (connection) => {
    const subscriptions = await subscribe(connection, options, context, state, end);
    return {
      close: async () => {
        for (const { acks } of subscriptions) acks.flush();
        state.open = false;
        await closeQuietly(connection, ...subscriptions.map(({ channel }) => channel));
      },
    };
  });
}

/**
 * A channel for each shard: RabbitMQ looks for the tag of a single ack in all that is unacknowledged on its channel, and a
 * flood of one shard is thousands.
 */
async function subscribe(
  connection: ChannelModel,
  { consumer, names, prefetch = DEFAULT_PREFETCH, receive }: ConsumeOptions,
  context: SessionContext,
  state: { open: boolean },
  end: (cause: Error) => void,
): Promise<{ channel: Channel; acks: ChannelAcks }[]> {
  const declaring = watchChannel(await connection.createChannel(), end);
  await declareEvents(declaring);
  await declareConsumer(declaring, { consumer, names, retryDelaysMs: context.retryDelaysMs });
  const subscriptions: { channel: Channel; acks: ChannelAcks }[] = [];
  for (const shard of shards) {
    const channel =
      subscriptions.length === 0 ? declaring : watchChannel(await connection.createChannel(), end);
    const queue = shardQueue(consumer, shard);
    const acks = new ChannelAcks(channel, state, end);
    const take = (message: ConsumeMessage | null): void => {
      if (!state.open) return;
      if (message) takeMessage(message, queue, acks, context, receive);
      else
        end(
          new Error(
            `RabbitMQ ended the subscription to ${queue}: was the queue deleted? It is declared again.`,
          ),
        );
    };
    await channel.prefetch(prefetch);
    await channel.consume(queue, take, { priority: priorityOf(context.replica, shard) });
    subscriptions.push({ channel, acks });
  }
  return subscriptions;
}

function takeMessage(
  message: ConsumeMessage,
  queue: string,
  channel: ChannelAcks,
  context: SessionContext,
  receive: ConsumeOptions['receive'],
): void {
  let event: PortalEvent;
  try {
    event = decodeMessage(message.content);
  } catch (error) {
    const receipt = receiptOf(message, queue, channel, context);
    if (isOfNewerVersion(error)) {
      // Hashes the content: this version cannot know the id field of a later version.
      const id = createHash('sha256').update(message.content).digest('base64');
      void receipt.defer(context.newer.note(id), NEWER_CODE);
      return;
    }
    void receipt.dead({ code: 'UNDECODABLE', message: toFailure(error).message });
    return;
  }
  receive({ event, receipt: receiptOf(message, queue, channel, context, event) });
}

function receiptOf(
  message: ConsumeMessage,
  queue: string,
  channel: ChannelAcks,
  context: SessionContext,
  event?: PortalEvent,
): RabbitReceipt {
  const { messageId }: { messageId?: unknown } = message.properties;
  const metadata = readRetryMetadata(message.properties.headers);
  // Without a spread: such an object has a shape of its own, which takes more than the object.
  return new RabbitReceipt(context, channel.of(message), {
    attempts: metadata.attempts,
    firstFailedAt: metadata.firstFailedAt,
    // Not every broker version counts every kind of requeue.
    deliveryCount: Math.max(metadata.deliveryCount, message.fields.redelivered ? 1 : 0),
    deliveryTag: message.fields.deliveryTag,
    queue,
    // One text where they are equal, as they are but for what a foreign program published.
    messageId: messageId === event?.id ? event?.id : typeof messageId === 'string' ? messageId : undefined,
    content: keepContent(message.content),
  });
}

/**
 * The priority with which a replica subscribes to a shard's queue. RabbitMQ 4 serves a queue with a single active
 * consumer through the subscriber of the highest priority, so replicas share the shards without communicating, and
 * only the shards of a replica that joins or leaves move (rendezvous hashing). RabbitMQ 3 keeps the first subscriber;
 * the priorities then only decide who takes over.
 *
 * @returns 0 to 65,535
 */
export function priorityOf(replica: string, shard: number): number {
  return createHash('sha256').update(`${replica}/${shard}`).digest().readUInt16BE();
}
