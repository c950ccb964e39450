import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { decodeMessage } from '@relay/events';
import { silentLog } from '@relay/platform';
import { eventually } from '../../../test/support/eventually.js';
import type { ConsumeOptions, Consumption, Delivery, EventBus } from './contract/event-bus.js';
import { newerTotal } from './contract/instrumentation.js';
import { shardOf } from './contract/shard.js';
import { everyBusUnderTest, retryDelaysMs, type BusUnderTest } from '../../../test/support/bus-under-test.js';
import { anEvent } from '../../../test/support/an-event.js';

jest.setTimeout(60_000);

const settleAtOnce = (delivery: Delivery): void => void delivery.receipt.done();
const failure = { code: 'QUERY_LIMIT_EXCEEDED', message: 'Too many requests' };

async function timesNewer(consumer: string): Promise<number> {
  const { values } = await newerTotal.get();
  return values.find(({ labels }) => labels.consumer === consumer)?.value ?? 0;
}

describe.each(everyBusUnderTest)('the bus on %s', (_, setUp) => {
  let underTest: BusUnderTest;
  let bus: EventBus;
  const opened: EventBus[] = [];

  const open = async (options?: Parameters<BusUnderTest['open']>[0]): Promise<EventBus> => {
    const another = await underTest.open(options);
    opened.push(another);
    return another;
  };

  beforeAll(async () => {
    underTest = await setUp();
    bus = await open();
  });
  afterAll(async () => {
    await Promise.all(opened.map((one) => one.close()));
    await underTest.drop();
  });

  const running = new Set<Consumption>();
  const consumers: string[] = [];
  let made = 0;
  const newConsumer = (): string => {
    const consumer = `consumer-${++made}`;
    consumers.push(consumer);
    return consumer;
  };
  afterEach(async () => {
    await Promise.all([...running].map((consumption) => consumption.stop()));
    running.clear();
    for (const consumer of consumers.splice(0)) await underTest.forget(consumer);
  });

  /** Collects deliveries in a list; settles nothing unless `receive` does. */
  const collect = async (
    options: Omit<ConsumeOptions, 'receive'> & { receive?: ConsumeOptions['receive']; from?: EventBus },
  ): Promise<{ deliveries: Delivery[]; ids: () => string[]; consumption: Consumption }> => {
    const deliveries: Delivery[] = [];
    const consumption = await (options.from ?? bus).consume({
      ...options,
      receive: (delivery) => {
        deliveries.push(delivery);
        options.receive?.(delivery);
      },
    });
    running.add(consumption);
    return { deliveries, ids: () => deliveries.map(({ event }) => event.id), consumption };
  };

  it('delivers an event as it was published', async () => {
    const { deliveries } = await collect({
      consumer: newConsumer(),
      names: ['ONCRMCONTACTUPDATE'],
      receive: settleAtOnce,
    });
    const event = anEvent({ data: { FIELDS: { ID: '82', TITLE: 'Żółć \u0000 \ud83d\ude00 \ud800' } } });
    await bus.publish(event);
    await eventually(() => expect(deliveries).toHaveLength(1));
    expect(deliveries[0]?.event).toEqual(event);
    expect(deliveries[0]?.receipt).toMatchObject({ attempts: 0, deliveryCount: 0, firstFailedAt: undefined });
  });

  it('delivers to every consumer the events that it subscribes to, each once, and no others', async () => {
    const contacts = await collect({
      consumer: newConsumer(),
      names: ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'],
      receive: settleAtOnce,
    });
    const all = await collect({
      consumer: newConsumer(),
      names: ['ONCRMCONTACTUPDATE', 'ONCRMDEALADD'],
      receive: settleAtOnce,
    });
    const update = anEvent({ name: 'ONCRMCONTACTUPDATE' });
    const add = anEvent({ name: 'ONCRMCONTACTADD' });
    const deal = anEvent({ name: 'ONCRMDEALADD' });
    for (const event of [update, add, deal]) await bus.publish(event);
    await eventually(() => {
      expect(contacts.ids()).toEqual([update.id, add.id]);
      expect(all.ids()).toEqual([update.id, deal.id]);
    });
  });

  it('delivers by base name, by suffixed name, and once where both match', async () => {
    const name = 'ONCRMDYNAMICITEMADD';
    const [base, only147, both] = await Promise.all(
      [[name], [`${name}_147`], [name, `${name}_147`]].map((names) =>
        collect({ consumer: newConsumer(), names, receive: settleAtOnce }),
      ),
    );
    const of147 = anEvent({ name, entityTypeId: 147 });
    const of148 = anEvent({ name, entityTypeId: 148 });
    await bus.publish(of147);
    await bus.publish(of148);
    await eventually(() => {
      expect(base?.ids()).toEqual([of147.id, of148.id]);
      expect(only147?.ids()).toEqual([of147.id]);
      expect(both?.ids()).toEqual([of147.id, of148.id]);
    });
  });

  it('distinguishes an event name with dots from longer and shorter ones', async () => {
    const { ids } = await collect({
      consumer: newConsumer(),
      names: ['CATALOG.PRICE'],
      receive: settleAtOnce,
    });
    await bus.publish(anEvent({ name: 'CATALOG.PRICE.ON' }));
    await bus.publish(anEvent({ name: 'CATALOG' }));
    const wanted = anEvent({ name: 'CATALOG.PRICE' });
    await bus.publish(wanted);
    await eventually(() => expect(ids()).toEqual([wanted.id]));
  });

  it('keeps an unrouted event where an operator can find it', async () => {
    await underTest.unrouted();
    const event = anEvent({ name: 'ONNOBODYWANTSTHIS' });
    await bus.publish(event);
    await eventually(async () => {
      const contents = await underTest.unrouted();
      expect(contents.map((content) => decodeMessage(Buffer.from(content)))).toEqual([event]);
    });
  });

  it('keeps events for a consumer that is not running', async () => {
    const consumer = newConsumer();
    const names = ['ONCRMCONTACTUPDATE'];
    const first = await collect({ consumer, names });
    await first.consumption.stop();
    const events = Array.from({ length: 5 }, () => anEvent());
    for (const event of events) await bus.publish(event);
    const second = await collect({ consumer, names, receive: settleAtOnce });
    await eventually(() => expect(second.ids()).toEqual(events.map(({ id }) => id)));
    expect(first.deliveries).toEqual([]);
  });

  it('redelivers an event after its delay, and counts the attempt', async () => {
    const { deliveries } = await collect({
      consumer: newConsumer(),
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) =>
        void (delivery.receipt.attempts < 2
          ? delivery.receipt.retry(delivery.receipt.attempts === 0 ? 1 : 300, failure)
          : delivery.receipt.done()),
    });
    const startedAt = Date.now();
    const arrivals: number[] = [];
    await bus.publish(anEvent());
    await eventually(() => {
      arrivals[deliveries.length] ??= Date.now() - startedAt;
      expect(deliveries).toHaveLength(3);
    });
    expect(deliveries.map(({ receipt }) => receipt.attempts)).toEqual([0, 1, 2]);
    expect(deliveries[1]?.receipt.firstFailedAt).toBeGreaterThanOrEqual(startedAt - 1_000);
    expect(deliveries[2]?.receipt.firstFailedAt).toBeCloseTo(deliveries[1]?.receipt.firstFailedAt ?? 0, -1);
    expect(arrivals[3]).toBeGreaterThanOrEqual(200 + 400);
  });

  it('does not count a wait as an attempt', async () => {
    const { deliveries } = await collect({
      consumer: newConsumer(),
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) =>
        void (delivery.receipt.firstFailedAt === undefined
          ? delivery.receipt.retry(1, failure, { countsAsAttempt: false })
          : delivery.receipt.done()),
    });
    await bus.publish(anEvent());
    await eventually(() => expect(deliveries).toHaveLength(2));
    expect(deliveries[1]?.receipt.attempts).toBe(0);
  });

  it('lets other events pass one that waits for its retry', async () => {
    const bad = anEvent({ entityId: '1' });
    const { ids } = await collect({
      consumer: newConsumer(),
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) =>
        void (delivery.event.id === bad.id && delivery.receipt.attempts === 0
          ? delivery.receipt.retry(1, failure)
          : delivery.receipt.done()),
    });
    const good = anEvent({ entityId: '2' });
    // Published together, because on a slow machine the retry could be back before the second is published.
    await Promise.all([bus.publish(bad), bus.publish(good)]);
    await eventually(() => expect(ids()).toHaveLength(3));
    expect(ids().toSorted()).toEqual([bad.id, bad.id, good.id].toSorted());
    expect(ids().at(-1)).toBe(bad.id);
  });

  it('keeps a dead letter with the details for an operator', async () => {
    const consumer = newConsumer();
    await collect({
      consumer,
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) =>
        void (delivery.receipt.attempts === 0
          ? delivery.receipt.retry(1, failure)
          : delivery.receipt.dead({ code: 'ACCESS_DENIED', message: 'No\0 access' })),
    });
    const startedAt = Date.now() - 1_000;
    const event = anEvent();
    await bus.publish(event);
    const letter = await eventually(async () => {
      const letters = await underTest.deadLetters(consumer);
      expect(letters).toHaveLength(1);
      return letters[0];
    });
    expect(letter).toMatchObject({ code: 'ACCESS_DENIED', attempts: 2 });
    expect(letter?.message).toMatch(/^No\0? access$/);
    expect(decodeMessage(Buffer.from(letter?.content ?? ''))).toEqual(event);
    expect(letter?.firstFailedAt).toBeGreaterThan(startedAt);
    expect(letter?.lastFailedAt).toBeGreaterThan(letter?.firstFailedAt ?? Infinity);
  });

  it('redelivers a deferred delivery later, without counting an attempt', async () => {
    const consumer = newConsumer();
    const { deliveries } = await collect({
      consumer,
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) => {
        if (deliveries.length === 1) void delivery.receipt.defer(1);
        else if (deliveries.length === 2) void delivery.receipt.retry(1, failure);
        else if (deliveries.length === 3) void delivery.receipt.defer(1);
        else void delivery.receipt.done();
      },
    });
    const event = anEvent();
    await bus.publish(event);
    await eventually(() => expect(deliveries).toHaveLength(4));
    expect(deliveries.map((delivery) => delivery.event)).toEqual([event, event, event, event]);
    expect(deliveries.map(({ receipt }) => receipt.attempts)).toEqual([0, 0, 1, 1]);
    expect(deliveries.map(({ receipt }) => receipt.firstFailedAt !== undefined)).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it('moves an unreadable message to the dead letters, and goes on', async () => {
    const consumer = newConsumer();
    const { ids } = await collect({ consumer, names: ['ONCRMCONTACTUPDATE'], receive: settleAtOnce });
    const event = anEvent();
    await underTest.inject(consumer, shardOf(event.memberId), '{"v":0}');
    await bus.publish(event);
    await eventually(() => expect(ids()).toEqual([event.id]));
    await eventually(async () => {
      expect(await underTest.deadLetters(consumer)).toMatchObject([
        { code: 'UNDECODABLE', content: '{"v":0}' },
      ]);
    });
  });

  it('keeps a message of a newer version, however often it is delivered, and counts it', async () => {
    const consumer = newConsumer();
    const { ids, consumption } = await collect({
      consumer,
      names: ['ONCRMCONTACTUPDATE'],
      receive: settleAtOnce,
    });
    const event = anEvent();
    await underTest.inject(consumer, shardOf(event.memberId), '{"v":2}');
    await bus.publish(event);
    await eventually(() => expect(ids()).toEqual([event.id]));
    await eventually(() => expect(consumption.newer()).toBe(1));
    // More than there are tiers: if each delivery spent an attempt, it would be dead by now.
    const before = await timesNewer(consumer);
    await eventually(async () =>
      expect(await timesNewer(consumer)).toBeGreaterThan(before + retryDelaysMs.length),
    );
    expect(consumption.newer()).toBe(1);
    expect(await underTest.deadLetters(consumer)).toEqual([]);
  });

  it('loses nothing in 25 redeliveries', async () => {
    const consumer = newConsumer();
    const names = ['ONCRMCONTACTUPDATE'];
    const events = Array.from({ length: 3 }, () => anEvent());
    for (let run = 0; run < 25; run++) {
      const { ids, deliveries, consumption } = await collect({ consumer, names });
      if (run === 0) for (const event of events) await bus.publish(event);
      await eventually(() => expect(ids()).toEqual(events.map(({ id }) => id)));
      expect(deliveries[0]?.receipt.deliveryCount).toBe(run);
      await consumption.stop();
    }
    const last = await collect({ consumer, names, receive: settleAtOnce });
    await eventually(() => expect(last.ids()).toEqual(events.map(({ id }) => id)));
    expect(await underTest.deadLetters(consumer)).toEqual([]);
  });

  it('redelivers what a stopped process held to the next one, in order, and nothing that was settled', async () => {
    const consumer = newConsumer();
    const names = ['ONCRMCONTACTUPDATE'];
    const other = await open();
    const settledHere: Promise<void>[] = [];
    const first = await collect({
      consumer,
      names,
      receive: (delivery) => {
        if (Number(delivery.event.entityId) < 20) settledHere.push(delivery.receipt.done());
      },
    });
    const second = await collect({ from: other, consumer, names, receive: settleAtOnce });
    const events = Array.from({ length: 100 }, (_each, index) => anEvent({ entityId: String(index) }));
    for (const event of events) await bus.publish(event);
    await eventually(() => expect(first.deliveries).toHaveLength(100));
    await Promise.all(settledHere);
    expect(second.deliveries).toEqual([]);

    await first.consumption.stop();
    await eventually(() => expect(second.ids()).toEqual(events.slice(20).map(({ id }) => id)));
    await first.deliveries.at(-1)?.receipt.done();
    expect(first.deliveries.at(-1)?.receipt.lost).toBe(true);
  });

  it('delivers no more than the prefetch, and goes on as deliveries are settled', async () => {
    const { deliveries } = await collect({
      consumer: newConsumer(),
      names: ['ONCRMCONTACTUPDATE'],
      prefetch: 10,
    });
    const events = Array.from({ length: 30 }, () => anEvent());
    for (const event of events) await bus.publish(event);
    for (let handed = 10; handed <= 30; handed += 10) {
      await eventually(() => expect(deliveries).toHaveLength(handed));
      await Promise.all(deliveries.slice(handed - 10).map((delivery) => delivery.receipt.done()));
    }
    await eventually(() => expect(deliveries).toHaveLength(30));
  });

  it('settles a delivery once, however often it is settled, and keeps its connection', async () => {
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_fields: object, message: string) => void warnings.push(message) };
    const consumer = newConsumer();
    const { ids } = await collect({
      from: await open({ log }),
      consumer,
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) => {
        void delivery.receipt.done();
        void delivery.receipt.done();
        void delivery.receipt.retry(1, failure);
        void delivery.receipt.dead(failure);
      },
    });
    const events = [anEvent(), anEvent(), anEvent()];
    for (const [index, event] of events.entries()) {
      await bus.publish(event);
      await eventually(() => expect(ids()).toEqual(events.slice(0, index + 1).map(({ id }) => id)));
    }
    expect(await underTest.deadLetters(consumer)).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it('rejects a consumer whose name is not valid in a queue name', async () => {
    await expect(bus.consume({ consumer: 'A b', names: ['ONX'], receive: settleAtOnce })).rejects.toThrow(
      TypeError,
    );
    await expect(bus.consume({ consumer: 'a', names: ['ON X'], receive: settleAtOnce })).rejects.toThrow(
      'event',
    );
  });
});
