import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ConsumeMessage, Message, MessageProperties } from 'amqplib';
import { setImmediate } from 'node:timers/promises';
import { ChannelAcks } from './channel-acks.js';

const fields = { consumerTag: 'c', deliveryTag: 1, redelivered: false, exchange: 'e', routingKey: 'k' };
const properties: MessageProperties = {
  contentType: undefined,
  contentEncoding: undefined,
  headers: undefined,
  deliveryMode: undefined,
  priority: undefined,
  correlationId: undefined,
  replyTo: undefined,
  expiration: undefined,
  messageId: undefined,
  timestamp: undefined,
  type: undefined,
  userId: undefined,
  appId: undefined,
  clusterId: undefined,
};
const aMessage: ConsumeMessage = { fields, properties, content: Buffer.alloc(0) };

/** A channel with the broker's checks: it rejects a tag that is not unacked. */
class StrictChannel {
  readonly unacked = new Set<number>();
  readonly frames: [tag: number, allUpTo: boolean][] = [];

  ack({ fields: { deliveryTag } }: Message, allUpTo = false): void {
    if (!this.unacked.has(deliveryTag)) throw new Error(`unknown delivery tag ${deliveryTag}`);
    this.frames.push([deliveryTag, allUpTo]);
    for (const tag of this.unacked)
      if (allUpTo ? tag <= deliveryTag : tag === deliveryTag) this.unacked.delete(tag);
  }
}

describe('the acknowledgements of a channel', () => {
  let channel: StrictChannel;
  let state: { open: boolean };
  let ends: Error[];
  let acks: ChannelAcks;
  beforeEach(() => {
    channel = new StrictChannel();
    state = { open: true };
    ends = [];
    acks = new ChannelAcks(channel, state, (cause) => {
      state.open = false;
      ends.push(cause);
    });
  });

  const deliver = (count: number): void => {
    for (let deliveryTag = 1; deliveryTag <= count; deliveryTag += 1) {
      channel.unacked.add(deliveryTag);
      acks.of({ ...aMessage, fields: { ...fields, deliveryTag } });
    }
  };

  it('are one frame for a whole batch', async () => {
    deliver(1_000);
    for (let tag = 1_000; tag > 0; tag -= 1) acks.ack(tag);
    expect(channel.frames).toEqual([]);
    await setImmediate();
    expect(channel.frames).toEqual([[1_000, true]]);
  });

  it('are sent one by one past an unsettled delivery, and together when it is done', async () => {
    deliver(6);
    for (const tag of [3, 5]) acks.ack(tag);
    await setImmediate();
    expect(channel.frames.splice(0)).toEqual([
      [3, false],
      [5, false],
    ]);
    for (const tag of [2, 1]) acks.ack(tag);
    await setImmediate();
    // 3 is already acked: the broker accepts no tag twice.
    expect(channel.frames.splice(0)).toEqual([[2, true]]);
    for (const tag of [6, 4]) acks.ack(tag);
    await setImmediate();
    expect(channel.frames).toEqual([[6, true]]);
    expect(channel.unacked.size).toBe(0);
    expect(ends).toEqual([]);
  });

  it('acknowledge each delivery once, and no other, in any order and grouping', async () => {
    deliver(500);
    const left = new Set(channel.unacked);
    while (left.size > 0) {
      const batch = [...left].filter(() => Math.random() < 0.3);
      for (const tag of batch) {
        left.delete(tag);
        acks.ack(tag);
      }
      await setImmediate();
      expect(channel.unacked).toEqual(left);
    }
    expect(ends).toEqual([]);
  });

  it('are sent at once before the channel is closed, and not any more afterwards', async () => {
    deliver(3);
    acks.ack(1);
    acks.flush();
    expect(channel.frames).toEqual([[1, true]]);
    acks.ack(2);
    state.open = false;
    acks.ack(3);
    await setImmediate();
    expect(channel.frames).toHaveLength(1);
  });

  it('end with a channel that rejects them', async () => {
    deliver(2);
    channel.unacked.clear();
    acks.ack(2);
    acks.ack(1);
    await setImmediate();
    expect(ends.map(({ message }) => message)).toEqual(['The channel takes no more acknowledgements']);
  });
});
