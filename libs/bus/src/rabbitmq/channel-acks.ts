import type { Channel, ConsumeMessage } from 'amqplib';
import type { AckChannel } from './receipt.js';

/**
 * Acknowledges the deliveries of one channel, those of one turn of the event loop at once: all up to the oldest that is
 * still in hand in a single frame. A queue stores every frame as an entry of its log, so a batch of a thousand events,
 * acknowledged one by one, would keep the broker from those of other portals.
 */
export class ChannelAcks implements AckChannel {
  /** amqplib acks by message; a receipt keeps its number alone, so one message stands for all. */
  private envelope: ConsumeMessage | undefined;
  /** Told to ack in this turn. */
  private tags: number[] = [];
  /** Not acknowledged yet, in the order in which they came: tags count up on a channel. */
  private readonly inHand = new Set<number>();

  constructor(
    private readonly channel: Pick<Channel, 'ack'>,
    private readonly state: { open: boolean },
    private readonly end: (cause: Error) => void,
  ) {}

  /** Every message of the channel must pass here: one that is not known of would be acknowledged with those after it. */
  of({ fields, properties }: ConsumeMessage): this {
    this.inHand.add(fields.deliveryTag);
    this.envelope ??= { fields: { ...fields }, properties, content: Buffer.alloc(0) };
    return this;
  }

  get open(): boolean {
    return this.state.open;
  }

  ack(deliveryTag: number): void {
    if (!this.state.open) return;
    this.tags.push(deliveryTag);
    if (this.tags.length === 1) setImmediate(() => this.flush());
  }

  /** Before the channel is closed: what was told to ack is sent now. */
  flush(): void {
    const tags = this.tags.splice(0);
    if (!this.state.open) return;
    for (const tag of tags) this.inHand.delete(tag);
    const [oldest = Infinity] = this.inHand;
    // The broker closes the channel for a tag that it has heard before, so it has to be one of this turn.
    const covered = tags.reduce((most, tag) => (tag < oldest ? Math.max(most, tag) : most), 0);
    if (covered > 0) this.send(covered, true);
    for (const tag of tags) if (tag > oldest) this.send(tag, false);
  }

  private send(deliveryTag: number, allUpTo: boolean): void {
    if (!this.state.open || !this.envelope) return;
    this.envelope.fields.deliveryTag = deliveryTag;
    try {
      this.channel.ack(this.envelope, allUpTo);
    } catch (cause) {
      // The channel is closing, and has not said so yet; the message will come again.
      this.end(new Error('The channel takes no more acknowledgements', { cause }));
    }
  }
}
