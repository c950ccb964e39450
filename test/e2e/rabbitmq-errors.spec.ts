import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import amqp from 'amqplib';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  closeConnections,
  freshUser,
  freshVhost,
  hasBroker,
  type TestUser,
  type TestVhost,
} from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { retryDelaysMs } from '../support/bus-under-test.js';
import { anEvent } from '../support/an-event.js';
import { RecordedLog } from '../support/recorded-log.js';
import { BusHealth } from '../../libs/bus/src/connection/connection-report.js';
import type { Delivery, EventBus } from '../../libs/bus/src/contract/event-bus.js';
import { JournalledBus } from '../../apps/gateway/src/ingress/journal/journalled-bus.js';
import { openEventBus } from '../../libs/bus/src/open-bus.js';
import { deadQueue, retryName, shardQueue, UNROUTED_NAME } from '../../libs/bus/src/rabbitmq/topology.js';

jest.setTimeout(120_000);

const consumer = 'rejected';
const names = ['ONCRMCONTACTUPDATE'];
/** The permissions that the log recommends to grant. */
const sufficient = { configure: '^b24\\.', write: '^(b24\\.|amq\\.default$)', read: '^b24\\.' };
const nothing = '^$';

/** Real: RabbitMQ, with a user that has only the permissions that a test grants. */
(hasBroker ? describe : describe.skip)('a RabbitMQ that rejects requests', () => {
  let vhost: TestVhost;
  let user: TestUser;
  let log: RecordedLog;
  let busHealth: BusHealth;
  let bus: EventBus | undefined;
  const deliveries: Delivery[] = [];

  beforeEach(async () => {
    vhost = await freshVhost();
    user = await freshUser(vhost);
    log = new RecordedLog();
    busHealth = new BusHealth();
    deliveries.length = 0;
  });
  afterEach(async () => {
    await bus?.close();
    bus = undefined;
    expect(log.text()).not.toContain(user.password);
    await user.drop();
    await vhost.drop();
  });

  async function open(amqpUrl = user.url): Promise<EventBus> {
    bus = await openEventBus({ amqpUrl, log, busHealth, retryDelaysMs, publishDeadlineMs: 5_000 });
    return bus;
  }

  const consume = (from: EventBus): Promise<unknown> =>
    from.consume({ consumer, names, receive: (delivery) => deliveries.push(delivery) });

  async function asAdministrator(work: (channel: amqp.Channel) => Promise<unknown>): Promise<void> {
    const connection = await amqp.connect(vhost.url);
    try {
      await work(await connection.createChannel());
    } finally {
      await connection.close();
    }
  }

  /** Every connection retries, and yet the log has one line of each for the operator. */
  async function isLoggedOnce(connections: readonly string[], reason: RegExp): Promise<void> {
    await eventually(() => {
      for (const connection of connections) {
        const tries = log.lines.filter(
          ({ fields }) => 'connection' in fields && fields.connection === connection,
        );
        expect(tries.length).toBeGreaterThanOrEqual(4);
      }
    });
    for (const connection of connections) {
      const lines = log
        .read('error')
        .filter(({ fields }) => 'connection' in fields && fields.connection === connection);
      expect(lines).toEqual([
        {
          level: 'error',
          message: 'the bus rejects the connection until an operator acts; retrying',
          fields: expect.objectContaining({ reason: expect.stringMatching(reason) }),
        },
      ]);
    }
    expect(busHealth.reason).toMatch(reason);
  }

  /** Events take every path: handled, retried, dead. */
  async function works(working: EventBus): Promise<void> {
    const events = [anEvent(), anEvent()];
    for (const event of events) await eventually(() => working.publish(event));
    await eventually(() => expect(deliveries).toHaveLength(2));
    await deliveries[0]?.receipt.retry(1, { code: 'AGAIN', message: '' });
    await deliveries[1]?.receipt.dead({ code: 'BAD', message: '' });
    await eventually(() => expect(deliveries).toHaveLength(3));
    await deliveries[2]?.receipt.done();
    await asAdministrator(async (channel) => {
      await eventually(async () =>
        expect((await channel.checkQueue(deadQueue(consumer))).messageCount).toBe(1),
      );
    });
    await eventually(() => expect(busHealth.reason).toBeUndefined());
  }

  it('works with the permissions that the log recommends', async () => {
    await user.may(sufficient);
    const opened = await open();
    await consume(opened);
    await works(opened);
    expect(log.read('error').filter(({ fields }) => 'connection' in fields)).toEqual([]);
  });

  it('a queue that exists with other arguments: names it, and consumes once it is deleted', async () => {
    await user.may(sufficient);
    const queue = retryName(consumer, 200);
    await asAdministrator((channel) => channel.assertQueue(queue, { durable: true }));
    const opened = await open();
    const consuming = consume(opened);
    await isLoggedOnce(
      [`consume ${consumer}`],
      new RegExp(`The queue ${queue.replaceAll('.', '\\.')} of the virtual host ${vhost.name}`),
    );
    expect(opened.isReady()).toBe(true);
    await asAdministrator((channel) => channel.deleteQueue(queue));
    await consuming;
    await works(opened);
  });

  it.each(['configure', 'write', 'read'] as const)(
    'without the permission to %s: the journal keeps events, and all goes on once it is granted',
    async (missing) => {
      await user.may({ ...sufficient, [missing]: nothing });
      const dataDir = mkdtempSync(join(tmpdir(), 'relay-rejections-'));
      const journalled = await JournalledBus.over(await open(), { dataDir, log, pollMs: 20 });
      bus = journalled;
      const consuming = consume(journalled);
      await isLoggedOnce(
        ['publish', `consume ${consumer}`],
        /may not do what is needed with the (queue|exchange) \S+: rabbitmqctl set_permissions/,
      );
      // Without a subscriber, so that it is known where they end up.
      for (let kept = 0; kept < 2; kept += 1) await journalled.publish(anEvent({ name: 'ONCRMDEALADD' }));
      expect([journalled.isReady(), journalled.isDegraded()]).toEqual([true, true]);

      await user.may(sufficient);
      await consuming;
      await asAdministrator(async (channel) => {
        await eventually(async () => expect((await channel.checkQueue(UNROUTED_NAME)).messageCount).toBe(2));
      });
      expect(journalled.isDegraded()).toBe(false);
      await works(journalled).finally(() => rmSync(dataDir, { recursive: true, force: true }));
    },
  );

  it('with a wrong password: says so, and connects once it is the right one', async () => {
    await user.may(sufficient);
    await user.changePassword('another');
    const opened = await open();
    await isLoggedOnce(['publish'], /^RabbitMQ rejects the user or the password in AMQP_URL/);
    await user.changePassword(user.password);
    await eventually(() => expect(opened.isReady()).toBe(true));
    await consume(opened);
    await works(opened);
  });

  it('with a virtual host that is not there, or not for this user: says so, and connects once it is', async () => {
    const opened = await open();
    await isLoggedOnce(
      ['publish'],
      /^The virtual host in AMQP_URL does not exist, or its user may not use it/,
    );
    await user.may(sufficient);
    await eventually(() => expect(opened.isReady()).toBe(true));
    await consume(opened);
    await works(opened);
  });

  it('that takes a permission away from those who work: says it once, and goes on once it is back', async () => {
    await user.may(sufficient);
    const opened = await open();
    await consume(opened);
    await user.may({ ...sufficient, read: nothing });
    await closeConnections(vhost);
    await isLoggedOnce([`consume ${consumer}`], /may not do what is needed with the/);
    await user.may(sufficient);
    await works(opened);
    const said = log
      .read('error')
      .flatMap(({ fields }) => ('connection' in fields ? [fields.connection] : []));
    expect(said).toEqual([...new Set(said)]);
  });

  it('in which queues of each kind are deleted: they are declared again', async () => {
    await user.may(sufficient);
    const opened = await open();
    await consume(opened);
    const queues = [UNROUTED_NAME, retryName(consumer, 200), deadQueue(consumer), shardQueue(consumer, 0)];
    await asAdministrator(async (channel) => {
      for (const queue of queues) await channel.deleteQueue(queue);
    });
    await eventually(() => opened.publish(anEvent({ name: 'ONCRMDEALADD' })));
    await works(opened);
    await asAdministrator(async (channel) => {
      for (const queue of queues) expect((await channel.checkQueue(queue)).consumerCount).toBeLessThan(2);
    });
  });
});
