import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import amqp from 'amqplib';
import { register } from 'prom-client';
import { hasBroker } from '../../../test/support/broker.js';
import { eventually } from '../../../test/support/eventually.js';
import { busesUnderTest, type BusUnderTest } from '../../../test/support/bus-under-test.js';
import { anEvent } from '../../../test/support/an-event.js';
import { tcpProxy } from '../../../test/support/tcp-proxy.mjs';
import type { Delivery, EventBus } from './contract/event-bus.js';

jest.setTimeout(60_000);

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

async function valueOf(series: string): Promise<number> {
  const line = (await register.metrics()).split('\n').find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

describe.each(busesUnderTest)('instrumentation of the bus on %s', (name, setUp) => {
  const system = name.toLowerCase();
  const published = `messaging_system="${system}",messaging_operation_name="publish",messaging_destination_name="b24.events"`;
  let underTest: BusUnderTest;
  let bus: EventBus;

  beforeAll(async () => {
    underTest = await setUp();
    bus = await underTest.open();
  });
  afterAll(async () => {
    await bus.close();
    await underTest.drop();
  });

  it('counts and times by OpenTelemetry names, and never by portal', async () => {
    const deliveries: Delivery[] = [];
    await bus.consume({
      consumer: `counted-${system}`,
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) => {
        deliveries.push(delivery);
        void delivery.receipt.done();
      },
    });
    for (const _ of Array.from({ length: 3 })) await bus.publish(anEvent());
    await eventually(() => expect(deliveries).toHaveLength(3));
    await expect(valueOf(`messaging_client_sent_messages_total{${published}}`)).resolves.toBe(3);
    await expect(valueOf(`messaging_client_operation_duration_seconds_count{${published}}`)).resolves.toBe(3);
    const consumed = `messaging_system="${system}",messaging_operation_name="consume",messaging_consumer_group_name="counted-${system}"`;
    await expect(valueOf(`messaging_client_consumed_messages_total{${consumed}}`)).resolves.toBe(3);
    expect(await register.metrics()).not.toContain(anEvent().memberId);
  });

  it('counts a rejected publish with its reason', async () => {
    const proxy = await tcpProxy(underTest.url);
    const cutOff = await underTest.open({ url: proxy.url, publishDeadlineMs: 2_000 });
    proxy.shut();
    await eventually(() => expect(cutOff.isReady()).toBe(false));
    await expect(cutOff.publish(anEvent())).rejects.toMatchObject({ code: 'BUS_DOWN' });
    await cutOff.close();
    await proxy.close();
    const rejected = `${published},error_type="BUS_DOWN"`;
    await expect(valueOf(`messaging_client_sent_messages_total{${rejected}}`)).resolves.toBe(1);
    await expect(valueOf(`messaging_client_operation_duration_seconds_count{${rejected}}`)).resolves.toBe(1);
  });

  it('keeps the trace context of an event, through a retry too', async () => {
    const attempts: Delivery[] = [];
    await bus.consume({
      consumer: `traced-${system}`,
      names: ['ONCRMCONTACTADD'],
      receive: (delivery) => {
        attempts.push(delivery);
        if (attempts.length === 1) void delivery.receipt.retry(1, { code: 'ODD', message: '' });
        else void delivery.receipt.done();
      },
    });
    await bus.publish(anEvent({ name: 'ONCRMCONTACTADD', traceparent }));
    await eventually(() => expect(attempts).toHaveLength(2));
    expect(attempts.map(({ event }) => event.traceparent)).toEqual([traceparent, traceparent]);
  });

  (name === 'RabbitMQ' && hasBroker ? it : it.skip)('says its trace to tools that read headers', async () => {
    const connection = await amqp.connect(underTest.url);
    const channel = await connection.createChannel();
    await channel.assertQueue('tool', { exclusive: true });
    await channel.bindQueue('tool', 'b24.events', '#');
    await bus.publish(anEvent({ traceparent }));
    const message = await eventually(async () => {
      const found = await channel.get('tool', { noAck: true });
      if (!found) throw new Error('no message yet');
      return found;
    });
    expect(message.properties.headers).toMatchObject({ traceparent });
    await connection.close();
  });
});
