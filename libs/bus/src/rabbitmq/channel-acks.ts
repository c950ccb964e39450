import type { Channel, ConsumeMessage } from 'amqplib';

/**
 * Acknowledges the deliveries of one channel once per event-loop iteration: all up to the oldest unsettled one in a
 * single frame with `multiple`. A quorum queue stores every ack frame as a log entry, so a thousand single acks would
 * delay other portals on the broker.
 */
export class ChannelAcks {
  /** amqplib acks by message object, but a receipt keeps only the delivery tag, so one object stands for all. */
  private envelope: ConsumeMessage | undefined;
  /** Tags to ack in this iteration. */
  private tags: number[] = [];
  /** Unacknowledged tags in delivery order: tags are ascending on a channel. */
  private readonly unacked = new Set<number>();

  constructor(
    private readonly channel: Pick<Channel, 'ack'>,
    private readonly state: { open: boolean },
    private readonly end: (cause: Error) => void,
  ) {}

  /**
   * Every message of the channel must be registered here: an unknown one would be acknowledged with those after it.
   */
  of({ fields, properties }: ConsumeMessage): this {
    this.unacked.add(fields.deliveryTag);
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

  /** Call before the channel is closed: sends the pending acks now. */
  flush(): void {
    const tags = this.tags.splice(0);
    if (!this.state.open) return;
    for (const tag of tags) this.unacked.delete(tag);
    const [oldest = Infinity] = this.unacked;
    // The broker closes the channel for an already acked tag, so the tag must be one of this iteration.
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
      // The channel is closing but has not reported it yet; the message is redelivered.
      this.end(new Error('The channel takes no more acknowledgements', { cause }));
    }
  }
}
