import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { PortalEvent } from '@relay/events';
import { silentLog } from '@relay/platform';
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { canStartBroker, privateBroker, type PrivateBroker } from '../../../../test/support/broker.js';
import { brokerControl } from '../../../../test/support/private-broker.mjs';
import { eventually } from '../../../../test/support/eventually.js';
import { BusUnavailableError, type Delivery, type EventBus } from '../contract/event-bus.js';
import { openEventBus } from '../open-bus.js';
import { anEvent } from '../../../../test/support/an-event.js';

jest.setTimeout(180_000);

/** RabbitMQ 3.10.8 leaves a quorum queue without a leader for minutes when it is killed right after declaring it. */
const quorumQueuesSettleMs = 10_000;

/** Two hundred confirms at once take longer than one, and longer still beside other tests. */
const publishDeadlineMs = 10_000;

const whereABrokerCanBeStarted = canStartBroker() ? describe : describe.skip;

async function control({ node, home }: PrivateBroker, ...args: string[]): Promise<void> {
  await promisify(execFile)(brokerControl, ['-n', node, '-q', ...args], {
    env: { ...process.env, HOME: home },
  });
}

whereABrokerCanBeStarted('a broker of our own', () => {
  let broker: PrivateBroker;
  let bus: EventBus;

  beforeAll(async () => {
    broker = await privateBroker();
    bus = await openEventBus({ amqpUrl: broker.url, log: silentLog, publishDeadlineMs });
  });
  afterAll(async () => {
    await bus.close();
    await broker.stop();
  });

  it('counts as down at once in an alarm, while consumers go on; and recovers after it', async () => {
    const handled: string[] = [];
    const held: Delivery[] = [];
    await bus.consume({
      consumer: 'bystander',
      names: ['ONCRMDEALADD'],
      receive: (delivery) => {
        handled.push(delivery.event.id);
        held.push(delivery);
      },
    });
    const event = anEvent({ name: 'ONCRMDEALADD' });
    await bus.publish(event);
    await eventually(() => expect(handled).toEqual([event.id]));

    await control(broker, 'set_vm_memory_high_watermark', 'absolute', '1MB');
    // The broker notifies only connections that publish.
    await eventually(() => expect(bus.publish(anEvent())).rejects.toMatchObject({ code: 'BUS_BLOCKED' }));
    expect(bus.isReady()).toBe(false);
    await held[0]?.receipt.done();

    await control(broker, 'set_vm_memory_high_watermark', '0.4');
    await eventually(() => expect(bus.isReady()).toBe(true));
    await bus.publish(anEvent());
    expect(handled).toEqual([event.id]);
  });

  it('loses nothing confirmed when killed, except settled events, and both sides reconnect by themselves', async () => {
    const seen = new Map<string, number>();
    let isHolding = false;
    await bus.consume({
      consumer: 'survivor',
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) => {
        seen.set(delivery.event.id, (seen.get(delivery.event.id) ?? 0) + 1);
        if (isHolding) return;
        if (delivery.receipt.attempts === 0 && delivery.event.entityId === 'retry') {
          void delivery.receipt.retry(1, { code: 'TIMEOUT', message: '' });
        } else void delivery.receipt.done();
      },
    });
    await sleep(quorumQueuesSettleMs);

    const settled = anEvent();
    await bus.publish(settled);
    const inRetryTier = anEvent({ entityId: 'retry' });
    await bus.publish(inRetryTier);
    await eventually(() => expect([...seen.keys()]).toEqual([settled.id, inRetryTier.id]));
    isHolding = true;
    const held = Array.from({ length: 200 }, () => anEvent());
    await Promise.all(held.map((event) => bus.publish(event)));

    await broker.kill();
    await expect(bus.publish(anEvent())).rejects.toThrow(BusUnavailableError);
    expect(bus.isReady()).toBe(false);
    isHolding = false;
    await broker.start();

    const after = anEvent();
    await eventually(() => bus.publish(after), { timeoutMs: 60_000, everyMs: 200 });
    const isBack = ({ id }: PortalEvent): boolean => (seen.get(id) ?? 0) >= 1;
    await eventually(
      () => {
        expect([...held, after].filter((event) => !isBack(event))).toEqual([]);
        expect(seen.get(inRetryTier.id)).toBeGreaterThanOrEqual(2);
      },
      { timeoutMs: 60_000 },
    );
    expect(seen.get(settled.id)).toBe(1);
  });
});
