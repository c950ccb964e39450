import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import amqp, { type Channel } from 'amqplib';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { canStartBroker, privateBroker, type PrivateBroker } from '../../../../test/support/broker.js';
import { eventually } from '../../../../test/support/eventually.js';
import { brokerControl } from '../../../../test/support/private-broker.mjs';
import { retryDelaysMs } from '../../../../test/support/bus-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import { RecordedLog } from '../../../../test/support/recorded-log.js';
import type { Consumption, Delivery, EventBus } from '../contract/event-bus.js';
import { openEventBus } from '../open-bus.js';
import { shardOf, shards } from '../contract/shard.js';
import { shardQueue } from './topology.js';

jest.setTimeout(180_000);

const consumer = 'listener';

/** Real: a private RabbitMQ whose settings a test may change. */
(canStartBroker() ? describe : describe.skip)(
  'a consumer whose channel ends while its connection lives',
  () => {
    let broker: PrivateBroker;
    let bus: EventBus;
    let consumption: Consumption | undefined;
    let log: RecordedLog;
    /** The channels that the consumer opened, in order: the last ones are in use, one for each shard. */
    const channels: Channel[] = [];
    /** Whether it was ready while it opened the last of them. */
    let wasReady: boolean | undefined;
    const deliveries: Delivery[] = [];

    beforeAll(async () => {
      broker = await privateBroker();
    });
    afterAll(() => broker.stop());
    beforeEach(async () => {
      channels.length = 0;
      deliveries.length = 0;
      log = new RecordedLog();
      const connect = amqp.connect.bind(amqp);
      jest.spyOn(amqp, 'connect').mockImplementation(async (...args: Parameters<typeof connect>) => {
        const connection = await connect(...args);
        const createChannel = connection.createChannel.bind(connection);
        jest.spyOn(connection, 'createChannel').mockImplementation(async () => {
          const channel = await createChannel();
          channels.push(channel);
          wasReady = consumption?.isReady();
          return channel;
        });
        return connection;
      });
      bus = await openEventBus({ amqpUrl: broker.url, log, retryDelaysMs, publishDeadlineMs: 10_000 });
      consumption = await bus.consume({
        consumer,
        names: ['ONCRMCONTACTUPDATE'],
        receive: (delivery) => deliveries.push(delivery),
      });
    });
    afterEach(async () => {
      jest.restoreAllMocks();
      await bus.close();
    });

    function channelInUse(): Channel {
      const channel = channels.at(shardOf(anEvent().memberId) - shards.length);
      if (!channel) throw new Error('The consumer has no channel');
      return channel;
    }

    async function control(...args: string[]): Promise<void> {
      const env = { ...process.env, HOME: broker.home };
      await promisify(execFile)(brokerControl, ['-n', broker.node, '-q', ...args], { env });
    }

    /** The end was noticed and its reason logged, held messages were redelivered, and new events arrive again. */
    async function isBackAfter(end: () => unknown, reason: RegExp): Promise<void> {
      const held = anEvent();
      await bus.publish(held);
      await eventually(() => expect(deliveries.map(({ event }) => event.id)).toEqual([held.id]));
      const [before] = deliveries;
      const used = channels.length;
      await end();
      await eventually(() => expect(before?.receipt.lost).toBe(true));
      await eventually(() => {
        expect(channels.length).toBeGreaterThan(used);
        expect(consumption?.isReady()).toBe(true);
      });
      expect(
        log.read().map(({ fields }) => ('reason' in fields ? String(fields.reason) : '')),
      ).toContainEqual(expect.stringMatching(reason));
      expect(wasReady).toBe(false);
      const after = anEvent();
      await bus.publish(after);
      await eventually(() => expect(deliveries.map(({ event }) => event.id)).toContain(after.id));
      for (const delivery of deliveries) await delivery.receipt.done();
    }

    it.each<[string, () => unknown, RegExp]>([
      [
        'because a delivery is settled twice',
        async () => {
          channelInUse().ackAll();
          await deliveries[0]?.receipt.done();
        },
        /unknown delivery tag/,
      ],
      ['because it is closed', () => channelInUse().close(), /The channel was closed/],
      [
        'because the broker cannot grant what it asks',
        () =>
          channelInUse()
            .consume('no.such.queue', () => undefined)
            .catch(() => undefined),
        /no.such.queue was deleted/,
      ],
    ])('%s: is not ready, and consumes again', async (_why, end, reason) => {
      await isBackAfter(end, reason);
      expect(log.read('error')).toEqual([]);
    });

    it('because it held an event for too long: is not ready, and consumes again', async () => {
      // RabbitMQ's defaults are half an hour and a minute.
      await control('eval', 'application:set_env(rabbit, consumer_timeout, 300).');
      await control('eval', 'application:set_env(rabbit, channel_tick_interval, 200).');
      // Channels read both settings when they are opened.
      await channelInUse().close();
      await eventually(() => expect(consumption?.isReady()).toBe(true));
      try {
        await isBackAfter(
          () => control('eval', 'application:set_env(rabbit, consumer_timeout, 1800000).'),
          /held for longer than RabbitMQ's consumer_timeout/,
        );
      } finally {
        await control('eval', 'application:set_env(rabbit, consumer_timeout, 1800000).');
      }
    });

    it('not, but whose queue is deleted: is not ready, and consumes again', async () => {
      const queue = shardQueue(consumer, shardOf(anEvent().memberId));
      await isNotReadyAfterDeleting(queue);
      const after = anEvent();
      await bus.publish(after);
      await eventually(() => expect(deliveries.map(({ event }) => event.id)).toContain(after.id));
      await deliveries[0]?.receipt.done();
    });

    async function isNotReadyAfterDeleting(queue: string): Promise<void> {
      const used = channels.length;
      await control('delete_queue', queue);
      await eventually(() => {
        expect(channels.length).toBeGreaterThan(used);
        expect(consumption?.isReady()).toBe(true);
      });
      expect(wasReady).toBe(false);
      expect(log.text()).toContain(`RabbitMQ ended the subscription to ${queue}`);
    }
  },
);
