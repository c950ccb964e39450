import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { encodeMessage } from '@relay/events';
import amqp from 'amqplib';
import { eventually } from '../../../../test/support/eventually.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../test/support/bus-admins-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import type { UnroutedFilter, UnroutedReplay } from './bus-admin.js';
import { EVENTS_EXCHANGE, routingKeyOf } from '../rabbitmq/topology.js';

jest.setTimeout(120_000);

const bound = 10_000;
const other = 'b'.repeat(32);

describe.each(busAdminsUnderTest)('unrouted events on %s', (kind, setUp) => {
  let test: BusAdminUnderTest;
  beforeAll(async () => {
    test = await setUp();
  });
  afterAll(() => test.end());

  it('are counted by subscription name, and stay', async () => {
    const deal = anEvent({ name: 'ONCRMDEALADD', receivedAt: 1_800_000_000_000 });
    const events = [
      deal,
      { ...deal, receivedAt: 1_700_000_000_000 },
      { ...deal, memberId: other },
      anEvent({ name: 'ONCRMDYNAMICITEMADD', entityTypeId: 147 }),
      anEvent({ name: 'ONCRMDYNAMICITEMADD', entityTypeId: 148 }),
    ];
    for (const event of events) await test.bus.publish(event);
    const expected = [
      { name: 'ONCRMDEALADD', events: 3, portals: 2, lastAt: new Date(1_800_000_000_000) },
      { name: 'ONCRMDYNAMICITEMADD_147', events: 1, portals: 1, lastAt: expect.any(Date) },
      { name: 'ONCRMDYNAMICITEMADD_148', events: 1, portals: 1, lastAt: expect.any(Date) },
    ];
    await eventually(async () => expect(await test.admin.unrouted()).toEqual(expected));
    expect(await test.admin.unrouted()).toEqual(expected);
  });

  it('are replayed to every consumer that subscribes to them by now and to no other; the rest stays', async () => {
    const names = ['ONCRMLEADADD', 'ONCRMDYNAMICITEMUPDATE_147'];
    const [one, two] = [test.newConsumer(), test.newConsumer()];
    const seen: string[] = [];
    const consume = (consumer: string, wanted: string[]): Promise<unknown> =>
      test.consume({
        consumer,
        names: wanted,
        receive: (delivery) => {
          seen.push(`${consumer} ${delivery.event.id}`);
          void delivery.receipt.done();
        },
      });
    const lead = anEvent({ name: 'ONCRMLEADADD', receivedAt: 2_000 });
    const item = anEvent({ name: 'ONCRMDYNAMICITEMUPDATE', entityTypeId: 147, receivedAt: 1_000 });
    const rest = [
      anEvent({ name: 'ONCRMDYNAMICITEMUPDATE', entityTypeId: 148 }),
      anEvent({ name: 'ONCRMLEADADD', memberId: other }),
    ];
    for (const event of [lead, item, ...rest]) await test.bus.publish(event);
    await consume(one, names);
    await consume(two, ['ONCRMLEADADD']);
    const wanted = new Map([
      [one, names],
      [two, ['ONCRMLEADADD']],
    ]);
    const { memberId } = lead;
    const replay = (filter: UnroutedFilter): Promise<UnroutedReplay> =>
      test.admin.replayUnrouted(wanted, filter);
    expect(await replay({ memberId, until: new Date(999) })).toMatchObject({ replayed: 0 });
    expect(await replay({ memberId, since: new Date(1_500) })).toMatchObject({ replayed: 1 });
    expect(await replay({ memberId })).toMatchObject({ replayed: 1 });
    const expected = [`${one} ${item.id}`, `${one} ${lead.id}`, `${two} ${lead.id}`];
    await eventually(() => expect(seen.toSorted()).toEqual(expected.toSorted()));
    const left = (await test.admin.unrouted()).map(({ name }) => name);
    expect(left).toEqual(expect.arrayContaining(['ONCRMDYNAMICITEMUPDATE_148', 'ONCRMLEADADD']));
    expect(left).not.toContain('ONCRMDYNAMICITEMUPDATE_147');
    await test.underTest.unrouted();
    await test.endTest();
  });

  it('are limited to the latest ten thousand', async () => {
    // Inserted directly for speed, then evicted by regular publishes.
    const old = anEvent({ name: 'ONOLD' });
    if (kind === 'RabbitMQ') {
      const connection = await amqp.connect(test.underTest.url);
      const channel = await connection.createConfirmChannel();
      const content = encodeMessage(old);
      for (let sent = 0; sent < bound; sent++) {
        channel.publish(EVENTS_EXCHANGE, routingKeyOf(old), content, { persistent: true });
      }
      await channel.waitForConfirms();
      await connection.close();
    } else {
      await test.database.query(
        'INSERT INTO bus.unrouted (content) SELECT $1::json FROM generate_series(1, $2)',
        [encodeMessage(old).toString(), bound],
      );
    }
    await Promise.all(Array.from({ length: 50 }, () => test.bus.publish(anEvent({ name: 'ONNEW' }))));
    await eventually(async () => {
      const counted = await test.admin.unrouted();
      expect(counted.map(({ name, events }) => [name, events])).toEqual([
        ['ONOLD', bound - 50],
        ['ONNEW', 50],
      ]);
    });
  });

  it('are limited to about the latest sixteen megabytes', async () => {
    const text = 'x'.repeat(250_000);
    for (let sent = 0; sent < 120; sent += 1) {
      await test.bus.publish(
        anEvent({ name: 'ONHEAVY', data: { FIELDS: { ID: String(sent), TITLE: text } } }),
      );
    }
    await eventually(async () => {
      const counted = await test.admin.unrouted();
      const heavy = counted.find(({ name }) => name === 'ONHEAVY')?.events ?? 0;
      expect(heavy).toBeGreaterThan(55);
      expect(heavy).toBeLessThan(80);
    });
  });
});
