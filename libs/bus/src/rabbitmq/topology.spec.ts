import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from '@relay/platform';
import amqp, { type ChannelModel } from 'amqplib';
import { freshVhost, hasBroker, type TestVhost } from '../../../../test/support/broker.js';
import { eventually } from '../../../../test/support/eventually.js';
import type { EventBus } from '../contract/event-bus.js';
import { openEventBus } from '../open-bus.js';
import { shardOf } from '../contract/shard.js';
import { anEvent } from '../../../../test/support/an-event.js';
import { ConfirmedPublisher } from './confirmed-publisher.js';
import { bindingKeyOf, parseRoutingKey, routingKeyOf } from './topology.js';

jest.setTimeout(60_000);

describe('routing keys', () => {
  it('consist of event, type and shard', () => {
    const event = anEvent({ name: 'ONCRMDYNAMICITEMADD', entityTypeId: 147 });
    expect(routingKeyOf(event)).toBe(`ONCRMDYNAMICITEMADD.147.${shardOf(event.memberId)}`);
    expect(routingKeyOf(anEvent())).toBe(`ONCRMCONTACTUPDATE.0.${shardOf(event.memberId)}`);
  });

  it('are parsed as they were built, and other formats are rejected', () => {
    const event = anEvent({ name: 'CATALOG.PRICE.ON.ADD', entityTypeId: 147 });
    const shard = shardOf(event.memberId);
    expect(parseRoutingKey(routingKeyOf(event))).toEqual({ name: event.name, entityTypeId: 147, shard });
    for (const strange of ['', 'ONCRMDEALADD', 'ONCRMDEALADD.0', 'ONCRMDEALADD.0.16', '.0.1']) {
      expect(parseRoutingKey(strange)).toBeUndefined();
    }
  });

  it('are bound by a base name for every type, by a suffixed one for its own', () => {
    expect(bindingKeyOf('ONCRMDYNAMICITEMADD', 3)).toBe('ONCRMDYNAMICITEMADD.*.3');
    expect(bindingKeyOf('ONCRMDYNAMICITEMADD_147', 3)).toBe('ONCRMDYNAMICITEMADD.147.3');
  });
});

(hasBroker ? describe : describe.skip)('the queues on RabbitMQ', () => {
  let vhost: TestVhost;
  let bus: EventBus;
  let connection: ChannelModel;

  beforeAll(async () => {
    vhost = await freshVhost();
    bus = await openEventBus({ amqpUrl: vhost.url, log: silentLog });
    connection = await amqp.connect(vhost.url);
  });
  afterAll(async () => {
    await connection.close();
    await bus.close();
    await vhost.drop();
  });

  it('have the names and arguments that operators rely on and that can never be changed', async () => {
    await bus.consume({ consumer: 'formatter', names: ['ONCRMCONTACTADD'], receive: () => undefined });
    const limit = { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 };
    const channel = await connection.createChannel();
    // Declaring an existing queue succeeds only with its exact arguments.
    for (let shard = 0; shard < 16; shard++) {
      await channel.assertQueue(`b24.formatter.${shard}`, {
        arguments: { ...limit, 'x-single-active-consumer': true },
      });
    }
    for (const [tier, seconds] of Object.entries({
      '5s': 5,
      '30s': 30,
      '2m': 120,
      '10m': 600,
      '1h': 3_600,
      '6h': 21_600,
    })) {
      await channel.assertQueue(`b24.formatter.retry.${tier}`, {
        arguments: {
          ...limit,
          'x-message-ttl': seconds * 1_000,
          'x-dead-letter-exchange': '',
          'x-dead-letter-strategy': 'at-least-once',
          'x-overflow': 'reject-publish',
        },
      });
    }
    await channel.assertQueue('b24.formatter.dead', { arguments: limit });
    await channel.assertExchange('b24.events', 'topic', { alternateExchange: 'b24.unrouted' });
    expect(await channel.checkQueue('b24.unrouted')).toMatchObject({ queue: 'b24.unrouted' });
    await channel.close();
  });

  it('are declared again and resubscribed when the broker cancels a subscription', async () => {
    const seen: string[] = [];
    await bus.consume({
      consumer: 'cancelled',
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) => {
        seen.push(delivery.event.id);
        void delivery.receipt.done();
      },
    });
    const channel = await connection.createChannel();
    await channel.deleteQueue(`b24.cancelled.${shardOf(anEvent().memberId)}`);
    await channel.close();
    const published: string[] = [];
    await eventually(async () => {
      const event = anEvent();
      await bus.publish(event);
      published.push(event.id);
      expect(seen.length).toBeGreaterThan(0);
    });
    expect(published).toEqual(expect.arrayContaining(seen));
  });

  it('a publish that no queue takes is rejected, although the broker confirms it', async () => {
    const publisher = new ConfirmedPublisher({
      url: vhost.url,
      name: 'test',
      log: silentLog,
      deadlineMs: 5_000,
      declare: async (channel) => {
        await channel.assertExchange('leads.nowhere', 'fanout', { durable: true });
      },
    });
    await publisher.start();
    const message = { exchange: 'leads.nowhere', routingKey: '', content: Buffer.from('{}') };
    try {
      await expect(publisher.publish(message)).rejects.toMatchObject({ code: 'BUS_REFUSED' });
    } finally {
      await publisher.close();
    }
    await expect(publisher.publish(message)).rejects.toMatchObject({ code: 'BUS_DOWN' });
  });
});
