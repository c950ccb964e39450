import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { PortalEvent } from '@relay/events';
import { silentLog } from '@relay/platform';
import { freePort } from '../../../test/support/broker.js';
import { eventually } from '../../../test/support/eventually.js';
import { BusUnavailableError, type Delivery, type EventBus } from './contract/event-bus.js';
import { openEventBus } from './open-bus.js';
import { busesUnderTest, type BusUnderTest } from '../../../test/support/bus-under-test.js';
import { anEvent } from '../../../test/support/an-event.js';
import { tcpProxy, type TcpProxy } from '../../../test/support/tcp-proxy.mjs';

jest.setTimeout(60_000);

const names = ['ONCRMCONTACTUPDATE'];
const receive = (): void => undefined;

describe.each(busesUnderTest)('the bus on %s behind a network that fails', (_, setUp) => {
  let underTest: BusUnderTest;
  let proxy: TcpProxy;
  let bus: EventBus;

  beforeEach(async () => {
    underTest = await setUp();
    proxy = await tcpProxy(underTest.url);
    bus = await underTest.open({ url: proxy.url });
  });
  afterEach(async () => {
    await bus.close();
    await proxy.close();
    await underTest.drop();
  });

  /** Retries until it is stored, as the gateway's journal does. */
  const publishInTheEnd = (event: PortalEvent): Promise<void> =>
    eventually(() => bus.publish(event), { timeoutMs: 30_000, everyMs: 50 });

  it('reports within its deadline that a frozen server did not confirm, and publishes again after', async () => {
    const impatient = await underTest.open({ url: proxy.url, publishDeadlineMs: 500 });
    try {
      await eventually(() => impatient.publish(anEvent()));
      proxy.freeze();
      const startedAt = performance.now();
      await expect(impatient.publish(anEvent())).rejects.toMatchObject({ code: 'BUS_TIMEOUT' });
      expect(performance.now() - startedAt).toBeGreaterThan(450);
      // Below the deadline of the other tests.
      expect(performance.now() - startedAt).toBeLessThan(4_000);
      proxy.thaw();
      await eventually(() => impatient.publish(anEvent()));
    } finally {
      proxy.thaw();
      await impatient.close();
    }
  });

  it('rejects a publish while there is no connection, is not ready, and publishes again after', async () => {
    expect(bus.isReady()).toBe(true);
    proxy.shut();
    await eventually(() => expect(bus.isReady()).toBe(false));
    await expect(bus.publish(anEvent())).rejects.toThrow(BusUnavailableError);
    proxy.open();
    await publishInTheEnd(anEvent());
    await eventually(() => expect(bus.isReady()).toBe(true));
  });

  it('redelivers what it held when its connection was cut, in order, and ignores late settlements', async () => {
    const deliveries: Delivery[] = [];
    await bus.consume({ consumer: 'holder', names, receive: (delivery) => deliveries.push(delivery) });
    const events = Array.from({ length: 20 }, () => anEvent());
    for (const event of events) await bus.publish(event);
    await eventually(() => expect(deliveries).toHaveLength(20));
    const held = deliveries.splice(0);

    proxy.cut();
    await eventually(() =>
      expect(deliveries.map(({ event }) => event.id)).toEqual(events.map(({ id }) => id)),
    );
    await Promise.all(held.map((delivery) => delivery.receipt.done()));
    await held[0]?.receipt.dead({ code: 'LATE', message: '' });
    expect(held.every(({ receipt }) => receipt.lost)).toBe(true);
    expect(deliveries.every(({ receipt }) => receipt.lost)).toBe(false);
    const settled = deliveries.splice(0);
    await Promise.all(settled.map((delivery) => delivery.receipt.done()));
    const last = anEvent();
    await publishInTheEnd(last);
    await eventually(() => expect(deliveries.map(({ event }) => event.id)).toEqual([last.id]));
    expect(await underTest.deadLetters('holder')).toEqual([]);
  });

  it('loses nothing that it has stored while connections are cut again and again', async () => {
    const settled = new Set<string>();
    await bus.consume({
      consumer: 'survivor',
      names,
      receive: (delivery) => {
        const { id, entityId } = delivery.event;
        // Every third one fails at first, so that retries are interrupted too.
        const fails = Number(entityId) % 3 === 0 && delivery.receipt.attempts === 0;
        if (fails) void delivery.receipt.retry(1, { code: 'TIMEOUT', message: '' });
        else void delivery.receipt.done().then(() => settled.add(id));
      },
    });
    const events = Array.from({ length: 150 }, (_each, index) => anEvent({ entityId: String(index) }));
    for (const [index, event] of events.entries()) {
      if (index % 40 === 20) proxy.cut();
      await publishInTheEnd(event);
    }
    await eventually(() => expect(events.filter(({ id }) => !settled.has(id))).toEqual([]), {
      timeoutMs: 30_000,
    });
    expect(await underTest.deadLetters('survivor')).toEqual([]);
  });

  it('lets another process take over at once when the connection of one ends', async () => {
    const [here, there]: [Delivery[], Delivery[]] = [[], []];
    await bus.consume({ consumer: 'shared', names, receive: (delivery) => here.push(delivery) });
    const elsewhere = await underTest.open();
    try {
      await elsewhere.consume({ consumer: 'shared', names, receive: (delivery) => there.push(delivery) });
      const event = anEvent();
      await bus.publish(event);
      await eventually(() => expect(here).toHaveLength(1));
      proxy.shut();
      await eventually(() => expect(there.map((delivery) => delivery.event.id)).toEqual([event.id]));
    } finally {
      await elsewhere.close();
    }
  });
});

describe.each([
  ['RabbitMQ', (port: number) => ({ amqpUrl: `amqp://guest:guest@127.0.0.1:${port}` })],
  ['PostgreSQL', (port: number) => ({ databaseUrl: `postgres://postgres@127.0.0.1:${port}/none` })],
])('a bus on %s that cannot be reached', (_, address) => {
  it('opens anyway, is not ready, rejects events, and waits with its consumers until it is closed', async () => {
    const bus = await openEventBus({ ...address(await freePort()), log: silentLog });
    expect(bus.isReady()).toBe(false);
    await expect(bus.publish(anEvent())).rejects.toThrow(BusUnavailableError);
    const stop = new AbortController();
    const waiting = [
      bus.consume({ consumer: 'aborted', names, receive, signal: stop.signal }),
      bus.consume({ consumer: 'closed', names, receive }),
    ].map((consuming) => expect(consuming).rejects.toMatchObject({ code: 'BUS_CLOSED' }));
    stop.abort();
    await waiting[0];
    await bus.close();
    await waiting[1];
  });

  it('logs it, without the password of the address', async () => {
    const lines: string[] = [];
    const note = (fields: object, message: string): void => {
      lines.push(
        message,
        ...Object.values(fields).map((value) =>
          value instanceof Error ? String(value.stack) : String(value),
        ),
      );
    };
    const bus = await openEventBus({
      ...address(await freePort()),
      log: { debug: note, info: note, warn: note, error: note },
    });
    await bus.close();
    expect(lines.join('\n')).toContain('bus connection is down');
    expect(lines.join('\n')).not.toContain('guest');
  });
});

it('needs the address of a bus', async () => {
  await expect(openEventBus({ log: silentLog })).rejects.toThrow(TypeError);
});
