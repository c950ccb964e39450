import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../test/support/bus-admins-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import type { Delivery } from '../contract/event-bus.js';

jest.setTimeout(60_000);

const names = ['ONCRMCONTACTUPDATE', 'ONCRMDYNAMICITEMADD_147'];

describe.each(busAdminsUnderTest)('declaring and retiring a consumer on %s', (_, setUp) => {
  let test: BusAdminUnderTest;
  beforeAll(async () => {
    test = await setUp();
  });
  afterEach(() => test.endTest());
  afterAll(() => test.end());

  const retire = (consumer: string, how: { drain?: boolean; drop?: boolean } = {}) =>
    test.admin.retire(consumer, { names, ...how });
  const unserved = (consumer: string) =>
    eventually(async () => expect((await test.admin.statusOf(consumer)).shardsServed).toBe(0));
  /** A consumer with a topology and without a running process. */
  const createConsumer = async (): Promise<string> => {
    const consumer = test.newConsumer();
    await (await test.consume({ consumer, names, receive: () => undefined })).stop();
    await unserved(consumer);
    return consumer;
  };

  it('has its events before the consumer was ever started, and only those that were declared last', async () => {
    const consumer = test.newConsumer();
    await test.admin.declare(consumer, names, []);
    const event = anEvent();
    await test.bus.publish(event);
    await eventually(async () =>
      expect(await test.admin.statusOf(consumer)).toMatchObject({ waiting: 1, unknown: false }),
    );
    const seen: string[] = [];
    const consumption = await test.consume({
      consumer,
      names,
      receive: (delivery) => {
        seen.push(delivery.event.id);
        void delivery.receipt.done();
      },
    });
    await eventually(() => expect(seen).toEqual([event.id]));
    await consumption.stop();
    await unserved(consumer);

    await test.admin.declare(consumer, ['ONCRMDEALADD'], names);
    await test.underTest.unrouted();
    await test.bus.publish(anEvent());
    await eventually(async () => expect(await test.underTest.unrouted()).toHaveLength(1));
    expect(await test.admin.statusOf(consumer)).toMatchObject({ waiting: 0, retrying: 0 });
    expect(await test.admin.retire(consumer, { names: ['ONCRMDEALADD'] })).toMatchObject({
      outcome: 'retired',
    });
  });

  it('removes everything of the consumer when it has no messages left', async () => {
    const consumer = await createConsumer();
    expect(await retire(consumer)).toEqual({ outcome: 'retired', dropped: 0 });
    expect(await test.admin.statusOf(consumer)).toMatchObject({ unknown: true });
    await test.underTest.unrouted();
    const event = anEvent();
    await test.bus.publish(event);
    await eventually(async () => expect(await test.underTest.unrouted()).toHaveLength(1));
    expect(await retire(consumer)).toEqual({ outcome: 'retired', dropped: 0 });
  });

  it('is rejected, and the consumer goes on, while a process of it runs', async () => {
    const consumer = test.newConsumer();
    const seen: string[] = [];
    await test.consume({
      consumer,
      names,
      receive: (delivery) => {
        seen.push(delivery.event.id);
        void delivery.receipt.done();
      },
    });
    for (const how of [{}, { drop: true }]) {
      expect(await retire(consumer, how)).toMatchObject({
        outcome: 'rejected',
        reason: 'processes',
        unsubscribed: false,
        status: { shardsServed: 16 },
      });
    }
    const event = anEvent();
    await test.bus.publish(event);
    await eventually(() => expect(seen).toEqual([event.id]));
  });

  it('is rejected while a process that is about to consume has reported itself', async () => {
    const consumer = await createConsumer();
    await test.database.query(
      `INSERT INTO bus.consumer_processes
         (consumer, replica, host, pid, lanes, waiting, batches, is_paused, newer, started_at, reported_at)
       VALUES ($1, gen_random_uuid(), 'here', 1, 0, 0, 0, false, 0, now(), now())`,
      [consumer],
    );
    expect(await retire(consumer)).toMatchObject({ outcome: 'rejected', reason: 'processes' });
    await test.database.query('DELETE FROM bus.consumer_processes WHERE consumer = $1', [consumer]);
    expect(await retire(consumer)).toMatchObject({ outcome: 'retired' });
  });

  it('is rejected, with all messages kept, while some wait, retry or are dead letters', async () => {
    const consumer = test.newConsumer();
    const held: Delivery[] = [];
    const consumption = await test.consume({
      consumer,
      names,
      receive: (delivery) => {
        if (delivery.event.entityId === '1') void delivery.receipt.dead({ code: 'X', message: '' });
        else held.push(delivery);
      },
    });
    for (const entityId of ['1', '2', '3']) await test.bus.publish(anEvent({ entityId }));
    await eventually(async () => {
      expect(held).toHaveLength(2);
      expect((await test.admin.statusOf(consumer)).dead).toBe(1);
    });
    await consumption.stop();
    await unserved(consumer);
    await eventually(async () => expect((await test.admin.statusOf(consumer)).waiting).toBe(2));
    expect(await retire(consumer)).toMatchObject({
      outcome: 'rejected',
      reason: 'messages',
      unsubscribed: false,
      status: { waiting: 2, dead: 1 },
    });
    await test.bus.publish(anEvent({ entityId: '4' }));
    await eventually(async () => {
      expect(await test.admin.statusOf(consumer)).toMatchObject({ waiting: 3, dead: 1 });
    });
    expect(await retire(consumer, { drop: true })).toEqual({ outcome: 'retired', dropped: 4 });
    expect(await test.admin.statusOf(consumer)).toMatchObject({ unknown: true, waiting: 0, dead: 0 });
  });

  it('stops new events while draining, and its process goes on with the waiting ones', async () => {
    const consumer = test.newConsumer();
    const held: Delivery[] = [];
    const consumption = await test.consume({
      consumer,
      names,
      receive: (delivery) => void held.push(delivery),
    });
    await test.bus.publish(anEvent());
    await eventually(() => expect(held).toHaveLength(1));
    expect(await retire(consumer, { drain: true })).toMatchObject({ outcome: 'draining' });
    await test.underTest.unrouted();
    await test.bus.publish(anEvent());
    await eventually(async () => expect(await test.underTest.unrouted()).toHaveLength(1));
    expect(held).toHaveLength(1);
    await held[0]?.receipt.done();
    await consumption.stop();
    await unserved(consumer);
    expect(await retire(consumer)).toEqual({ outcome: 'retired', dropped: 0 });
  });
});
