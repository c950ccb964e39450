import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from '@relay/platform';
import amqp, { type ChannelModel } from 'amqplib';
import pg from 'pg';
import { freshUser, freshVhost, hasBroker, type TestVhost } from '../../../../../test/support/broker.js';
import { freshDatabase, type TestDatabase } from '../../../../../test/support/database.js';
import { eventually } from '../../../../../test/support/eventually.js';
import { retryDelaysMs } from '../../../../../test/support/bus-under-test.js';
import { anEvent } from '../../../../../test/support/an-event.js';
import { RecordedLog } from '../../../../../test/support/recorded-log.js';
import { BusHealth } from '../../connection/connection-report.js';
import { OperatorLock, TOPOLOGY } from '../../admin/operator-lock.js';
import type { EventBus } from '../../contract/event-bus.js';
import { openEventBus } from '../../open-bus.js';
import { shardOf } from '../../contract/shard.js';
import { shardQueue, UNROUTED_NAME } from '../topology.js';
import { TopologyReconciler, type WantedSubscription } from './topology-reconciler.js';

jest.setTimeout(60_000);

const name = 'ONCRMDEALADD';

/** Real: RabbitMQ, PostgreSQL. No consumer runs. */
(hasBroker ? describe : describe.skip)('the topology reconciler', () => {
  let vhost: TestVhost;
  let database: TestDatabase;
  let connection: ChannelModel;
  let log: RecordedLog;
  let busHealth: BusHealth;
  let reconciler: TopologyReconciler;
  let bus: EventBus;
  let wanted: WantedSubscription[];
  let isDatabaseAway: boolean;

  beforeEach(async () => {
    [vhost, database] = [await freshVhost(), await freshDatabase('libs/bus')];
    connection = await amqp.connect(vhost.url);
    [log, busHealth] = [new RecordedLog(), new BusHealth()];
    wanted = [{ consumer: 'watcher', name, since: new Date(1_000) }];
    isDatabaseAway = false;
  });
  afterEach(async () => {
    await reconciler?.close();
    await bus?.close();
    await connection.close();
    await vhost.drop();
    await database.drop();
  });

  function make(databaseUrl = database.url, amqpUrl = vhost.url): void {
    reconciler = new TopologyReconciler({
      amqpUrl,
      databaseUrl,
      wanted: async () => {
        if (isDatabaseAway) throw new Error('the database is away');
        return wanted;
      },
      log,
      busHealth,
      retryDelaysMs,
      checkEveryMs: 100,
    });
  }
  async function open(): Promise<EventBus> {
    bus = await openEventBus({
      amqpUrl: vhost.url,
      log: silentLog,
      retryDelaysMs,
      prepare: () => reconciler.prepare(),
      publishDeadlineMs: 5_000,
    });
    return bus;
  }
  /** Uses its own channel: a missing object closes it. */
  const ask = async <T>(question: (channel: amqp.Channel) => Promise<T>): Promise<T> => {
    const channel = await connection.createChannel();
    channel.on('error', () => undefined);
    const answer = await question(channel);
    await channel.close();
    return answer;
  };
  const count = async (name_: string): Promise<number> =>
    (await ask((channel) => channel.checkQueue(name_))).messageCount;
  const event = anEvent({ name, receivedAt: 2_000 });
  const queue = shardQueue('watcher', shardOf(event.memberId));

  it('declares the queues of a consumer that never ran before the first event is published', async () => {
    make();
    await (await open()).publish(event);
    expect(await count(UNROUTED_NAME)).toBe(0);
    await eventually(async () => expect(await count(queue)).toBe(1));
  });

  it('does not report the queues of a new consumer as lost', async () => {
    make();
    await open();
    wanted = [...wanted, { consumer: 'new', name, since: new Date() }];
    reconciler.start();
    await eventually(async () => expect(await count(shardQueue('new', 0))).toBe(0), { timeoutMs: 20_000 });
    await eventually(() => reconciler.prepare());
    expect(reconciler.repairs().map(({ consumer }) => consumer)).not.toContain('new');
    expect(log.read('error').filter(({ fields }) => JSON.stringify(fields).includes('new'))).toEqual([]);
  });

  it('publishes nothing while the subscriptions are unknown, and uses the last known ones later', async () => {
    isDatabaseAway = true;
    make();
    const opened = await open();
    await expect(opened.publish(event)).rejects.toMatchObject({ code: 'BUS_DOWN' });
    isDatabaseAway = false;
    await eventually(() => opened.publish(event));
    isDatabaseAway = true;
    await ask((channel) => channel.deleteExchange('b24.events'));
    // Rejected because the exchange is gone; the next connection declares it again, with its bindings.
    await eventually(() => opened.publish(event));
    await eventually(async () => expect(await count(queue)).toBe(2));
    expect(await count(UNROUTED_NAME)).toBe(0);
  });

  it('goes on without the operator lock when the database is down', async () => {
    make('postgres://nobody@127.0.0.1:1/none');
    await (await open()).publish(event);
    await eventually(async () => expect(await count(queue)).toBe(1));
  });

  it('waits while a consumer is being retired, and does not declare it again', async () => {
    make();
    await open();
    const lock = new OperatorLock(database.url);
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await lock.hold(TOPOLOGY, async () => {
      await ask((channel) => channel.deleteQueue(queue));
      reconciler.start();
      await eventually(async () => {
        const { rows } = await client.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        expect(rows).toHaveLength(1);
      });
      wanted = [];
    });
    await client.end();
    // One full round later: the exchange is declared again, the queue is not.
    await ask((channel) => channel.deleteExchange('b24.events'));
    await eventually(() => ask((channel) => channel.checkExchange('b24.events')));
    await expect(count(queue)).rejects.toThrow(/NOT_FOUND/);
  });

  it('does not block publishing while the operator lock is held beyond its timeout', async () => {
    make();
    const lock = new OperatorLock(database.url);
    await lock.hold(TOPOLOGY, async () => {
      await (await open()).publish(event);
    });
    expect(await count(UNROUTED_NAME)).toBe(1);
    reconciler.start();
    await eventually(async () => expect(await count(queue)).toBe(1));
  });

  it('leaves events from before the subscription, and returns those from after it', async () => {
    make();
    wanted = [];
    const opened = await open();
    reconciler.start();
    const older = anEvent({ name, receivedAt: 999 });
    const [first, second] = [anEvent({ name: 'ONCRMLEADADD', receivedAt: 2_000 }), event];
    for (const one of [older, first, second]) await opened.publish(one);
    await eventually(async () => expect(await count(UNROUTED_NAME)).toBe(3));
    wanted = [{ consumer: 'watcher', name, since: new Date(1_000) }];
    await eventually(async () => expect(await count(UNROUTED_NAME)).toBe(2));
    const ids = new Set<unknown>();
    const reading = await connection.createChannel();
    await reading.consume(queue, (message) => ids.add(message?.properties.messageId));
    await eventually(() => expect([...ids]).toEqual([event.id]));
  });

  it('does not block other queues for one that exists with other arguments, and names it', async () => {
    const odd = shardQueue('watcher', (shardOf(event.memberId) + 1) % 16);
    await ask((channel) => channel.assertQueue(odd, { durable: true }));
    make();
    const opened = await open();
    reconciler.start();
    await opened.publish(event);
    await eventually(async () => expect(await count(queue)).toBe(1));
    expect(reconciler.isDegraded()).toBe(true);
    expect(busHealth.reason).toContain(`On RabbitMQ ${odd} cannot be declared or bound`);
    expect(log.read('error').map(({ message }) => message)).toContain('queues cannot be declared or bound');
  });

  it('returns events of other queues beside full or undeclarable ones, without duplicates', async () => {
    const full = { 'x-max-length': 0, 'x-overflow': 'reject-publish' };
    const closed = shardQueue('closed', shardOf(event.memberId));
    await ask((channel) => channel.assertQueue(closed, { durable: true, arguments: full }));
    const user = await freshUser(vhost);
    await user.may({
      configure: `^(?!${shardQueue('barred', shardOf(event.memberId))}$).*$`,
      write: '.*',
      read: '.*',
    });
    make(database.url, user.url);
    wanted = [];
    const opened = await open();
    const both = anEvent({ name: 'ONCRMLEADADD', receivedAt: 2_000 });
    const barred = anEvent({ name: 'ONCRMCONTACTADD', receivedAt: 2_000 });
    for (const one of [barred, both, event]) await opened.publish(one);
    await eventually(async () => expect(await count(UNROUTED_NAME)).toBe(3));
    const since = new Date(1_000);
    const names = [name, both.name, barred.name];
    wanted = names.map((each) => ({ consumer: 'watcher', name: each, since }));
    wanted.push({ consumer: 'closed', name: both.name, since });
    wanted.push({ consumer: 'barred', name: barred.name, since });
    reconciler.start();
    const ids: unknown[] = [];
    await eventually(() => ask((channel) => channel.checkQueue(queue)));
    const reading = await connection.createChannel();
    await reading.consume(queue, (message) => ids.push(message?.properties.messageId), { noAck: true });
    await eventually(() => expect(ids).toContain(event.id));
    await eventually(async () => expect(await count(UNROUTED_NAME)).toBe(2));
    await eventually(() => expect(JSON.stringify(log.read('warn'))).toContain('bus.unrouted.pending'));
    expect(ids.filter((id) => id === both.id).length).toBeLessThanOrEqual(1);
    expect(ids).not.toContain(barred.id);
    await user.drop();
  });

  it('reports nothing on the first start of an installation', async () => {
    make();
    wanted = [];
    await open();
    reconciler.start();
    await eventually(async () => expect(await count(UNROUTED_NAME)).toBe(0));
    expect(reconciler.isDegraded()).toBe(false);
    expect(log.read()).toEqual([]);
    expect(reconciler.repairs()).toEqual([]);
  });
});
