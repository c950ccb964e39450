import { randomUUID } from 'node:crypto';
import { decodeMessage, type PortalEvent } from '@relay/events';
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { HeldDelivery } from '../delivery.js';
import type { Consumption, ConsumeOptions } from '../event-bus.js';
import { toFailure } from '../failure.js';
import { Reconnector, type Session } from '../reconnector.js';
import { shards } from '../shard.js';
import { closeQuietly, connect, watchChannel } from './connection.js';
import { readTrail } from './headers.js';
import { RabbitReceipt, type AckChannel, type SettleContext } from './receipt.js';
import { priorityOf } from './rendezvous.js';
import { declareConsumer, declareEvents, shardQueue } from './topology.js';

/** Room for one portal's flood of this size beside the events of the portals that share its shard. */
const defaultPrefetch = 10_000;

interface SessionContext extends SettleContext {
  /** Names this subscriber among its siblings. */
  readonly replica: string;
}

/** One consumer's 16 shard queues on a connection of its own, subscribed again whenever that connection ends. */
export class RabbitConsumption implements Consumption {
  readonly #sessions: Reconnector<Session>;

  constructor(url: string, options: ConsumeOptions, settling: SettleContext) {
    // The same for as long as this lives: a reconnection must not move shards about.
    const context: SessionContext = { ...settling, replica: randomUUID() };
    this.#sessions = new Reconnector({
      name: `consume ${options.consumer}`,
      log: context.log,
      open: (onEnd) => openSession(url, options, context, onEnd),
    });
  }

  /** Resolves when the queues are bound. */
  async start(signal?: AbortSignal): Promise<void> {
    await this.#sessions.start();
    await this.#sessions.opened(signal);
  }

  isReady(): boolean {
    return this.#sessions.current !== undefined;
  }

  stop(): Promise<void> {
    return this.#sessions.close();
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
    const channel = await subscribe(connection, options, context, state, end);
    return {
      close: async () => {
        state.open = false;
        await closeQuietly(connection, channel);
      },
    };
  });
}

async function subscribe(
  connection: ChannelModel,
  { consumer, names, prefetch = defaultPrefetch, receive }: ConsumeOptions,
  context: SessionContext,
  state: { open: boolean },
  end: (cause: Error) => void,
): Promise<Channel> {
  const channel = watchChannel(await connection.createChannel(), end);
  await declareEvents(channel);
  await declareConsumer(channel, { consumer, names, retryDelaysMs: context.retryDelaysMs });
  // Counts for each consumer of the channel by itself, that is for each shard; quorum queues know no other.
  await channel.prefetch(prefetch);
  const acks = new ChannelAcks(channel, state, end);
  for (const shard of shards) {
    const queue = shardQueue(consumer, shard);
    const take = (message: ConsumeMessage | null): void => {
      if (!state.open) return;
      if (message) takeMessage(message, queue, acks, context, receive);
      else end(new Error(`The broker cancelled the subscription to ${queue}`));
    };
    await channel.consume(queue, take, { priority: priorityOf(context.replica, shard) });
  }
  return channel;
}

function takeMessage(
  message: ConsumeMessage,
  queue: string,
  channel: ChannelAcks,
  context: SettleContext,
  receive: ConsumeOptions['receive'],
): void {
  const { messageId }: { messageId?: unknown } = message.properties;
  const trail = readTrail(message.properties.headers);
  const receipt = new RabbitReceipt(context, channel.of(message), {
    ...trail,
    // Not every version counts every way in which a message goes back.
    deliveryCount: Math.max(trail.deliveryCount, message.fields.redelivered ? 1 : 0),
    deliveryTag: message.fields.deliveryTag,
    queue,
    messageId: typeof messageId === 'string' ? messageId : undefined,
    // A copy: the content is a view into a far larger buffer of the socket, which must not be held for hours.
    content: Buffer.from(message.content),
  });
  let event: PortalEvent;
  try {
    event = decodeMessage(message.content);
  } catch (error) {
    void receipt.dead({ code: 'UNDECODABLE', message: toFailure(error).message });
    return;
  }
  receive(new HeldDelivery(event, receipt));
}

/** amqplib acks by message; a receipt keeps its number alone, so one message stands for all. */
class ChannelAcks implements AckChannel {
  #envelope: ConsumeMessage | undefined;

  constructor(
    private readonly channel: Channel,
    private readonly state: { open: boolean },
    private readonly end: (cause: Error) => void,
  ) {}

  of({ fields, properties }: ConsumeMessage): this {
    this.#envelope ??= { fields: { ...fields }, properties, content: Buffer.alloc(0) };
    return this;
  }

  get open(): boolean {
    return this.state.open;
  }

  ack(deliveryTag: number): void {
    if (!this.state.open || !this.#envelope) return;
    this.#envelope.fields.deliveryTag = deliveryTag;
    try {
      this.channel.ack(this.#envelope);
    } catch (cause) {
      // The channel is closing, and has not said so yet; the message will come again.
      this.end(new Error('The channel takes no more acknowledgements', { cause }));
    }
  }
}
