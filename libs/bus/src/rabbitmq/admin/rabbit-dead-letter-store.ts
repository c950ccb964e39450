import type { Log } from '@relay/platform';
import type { Channel, ConsumeMessage } from 'amqplib';
import { NoSuchConsumerError } from '../../admin/errors.js';
import {
  SCAN_LIMIT,
  type DeadLetterStore,
  type LetterSelector,
  type LetterSelection,
  type ScanResult,
} from '../../admin/dead-letter-store.js';
import { eventIn } from '../../admin/dead-letter.js';
import { BusUnavailableError } from '../../event-bus.js';
import { shardOf } from '../../shard.js';
import type { ConfirmedPublisher } from '../confirmed-publisher.js';
import { deadQueue, shardQueue } from '../topology.js';
import { awaitReturn, browse } from './browse.js';
import { AdminConnection } from './admin-connection.js';
import { readLetter } from './letter-headers.js';
import { openReplayPublisher } from './replay-publisher.js';

/** Half of the 32 unconfirmed acks that the broker allows. */
const ACK_GROUP = 16;
/**
 * The queue `b24.<consumer>.dead`, read by consuming without acks: closing the channel requeues everything in place.
 */
export class RabbitDeadLetterStore implements DeadLetterStore {
  constructor(
    private readonly url: string,
    private readonly log: Log,
  ) {}

  async scan<T>(
    consumer: string,
    pick: LetterSelector,
    work: (picked: LetterSelection, sight: ScanResult) => Promise<T>,
  ): Promise<T> {
    return AdminConnection.during(this.url, async (broker) => {
      const queue = deadQueue(consumer);
      const there = await broker.ask((channel) => channel.checkQueue(queue));
      if (there.kind === 'missing') throw new NoSuchConsumerError(consumer);
      if (there.kind !== 'value') throw new BusUnavailableError('BUS_REFUSED');
      const channel = await broker.openChannel();
      const picked = new SelectedMessages(channel, queue, consumer, new Replays(this.url, this.log));
      let found = 0;
      try {
        const sight = await browse(channel, queue, SCAN_LIMIT, (message) => {
          const wanted = pick(readLetter(consumer, message));
          if (wanted !== 'no') picked.add(message, wanted === 'content');
        });
        ({ found } = sight);
        return await work(picked, sight);
      } finally {
        await picked.close();
        // Before the connection, whose close would overtake the last acks.
        await channel.close().catch(() => undefined);
        await awaitReturn(broker, queue, found - picked.settled);
      }
    });
  }
}

class SelectedMessages implements LetterSelection {
  settled = 0;
  private readonly messages: ConsumeMessage[] = [];

  constructor(
    private readonly channel: Channel,
    private readonly queue: string,
    private readonly consumer: string,
    private readonly replays: Replays,
  ) {}

  get count(): number {
    return this.messages.length;
  }

  /** Copies the content, which is a view into a far larger socket buffer. */
  add(message: ConsumeMessage, withContent: boolean): void {
    const content = withContent ? Buffer.from(message.content) : Buffer.alloc(0);
    this.messages.push({ fields: message.fields, properties: message.properties, content });
  }

  async replay(index: number): Promise<void> {
    const message = this.messages[index];
    if (!message) throw new RangeError(`No letter ${index} was picked`);
    await this.replays.publish(this.consumer, message);
    await this.settle(message);
  }

  async drop(): Promise<void> {
    for (const message of this.messages) await this.settle(message);
  }

  /** Waits until all settlements are final. */
  async close(): Promise<void> {
    try {
      if (this.settled > 0) await this.flush();
    } finally {
      await this.replays.close();
    }
  }

  private async settle(message: ConsumeMessage): Promise<void> {
    this.channel.ack(message);
    this.settled += 1;
    if (this.settled % ACK_GROUP === 0) await this.flush();
  }

  /**
   * The broker delays acks when more than 32 of one channel are in flight to a quorum queue, and drops those when the
   * channel closes: the letters would come back. A `basic.get` is answered after everything that was sent before it.
   */
  private async flush(): Promise<void> {
    await this.channel.get(this.queue);
  }
}

/** Publishes on its own connection, opened with the first message. */
class Replays {
  private publisher: ConfirmedPublisher | undefined;

  constructor(
    private readonly url: string,
    private readonly log: Log,
  ) {}

  /**
   * Resolves when the consumer's queue has it, without retry metadata: it counts as never tried. @throws
   * BusUnavailableError
   */
  async publish(consumer: string, { content, properties }: ConsumeMessage): Promise<void> {
    const publisher = (this.publisher ??= await openReplayPublisher(this.url, this.log));
    const { messageId }: { messageId?: unknown } = properties;
    await publisher.publish({
      exchange: '',
      // An unreadable message may return through any shard; its original shard is not recorded.
      routingKey: shardQueue(consumer, shardOf(eventIn(content)?.memberId ?? '')),
      content,
      messageId: typeof messageId === 'string' ? messageId : undefined,
    });
  }

  async close(): Promise<void> {
    await this.publisher?.close();
  }
}
