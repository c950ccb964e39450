import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { encodeMessage } from '@relay/events';
import { silentLog } from '@relay/platform';
import amqp from 'amqplib';
import pg from 'pg';
import { freshVhost, hasBroker, type TestVhost } from '../../../../test/support/broker.js';
import { CuttableLink } from '../../../../test/support/cuttable-link.js';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import { retryDelaysMs } from '../../../../test/support/bus-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import { RecordedLog } from '../../../../test/support/recorded-log.js';
import { openBusAdmin, openEventBus } from '../open-bus.js';
import type { Delivery, EventBus } from '../contract/event-bus.js';
import { shardQueue } from '../rabbitmq/topology.js';
import { BusMover, type BusMoverOptions } from './bus-mover.js';

jest.setTimeout(120_000);

const CONSUMER = 'formatter';
const names = ['ONCRMCONTACTUPDATE'];
const failure = { code: 'ACCESS_DENIED', message: 'No access' };

/** Consumes until `isEnough` is true; returns the deliveries. */
async function collect(bus: EventBus, isEnough: (all: Delivery[]) => boolean): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  const consumption = await bus.consume({
    consumer: CONSUMER,
    names,
    receive: (delivery) => {
      deliveries.push(delivery);
      void delivery.receipt.done();
    },
  });
  await eventually(() => expect(isEnough(deliveries)).toBe(true), { timeoutMs: 20_000 });
  await consumption.stop();
  return deliveries;
}

/** Leaves a failed message, a dead letter, a waiting message and an unrouted one. */
async function leaveWork(bus: EventBus): Promise<{ failed: string; dead: string; waiting: string }> {
  const [failed, dead, waiting] = [anEvent(), anEvent(), anEvent()];
  let settled = 0;
  const consumption = await bus.consume({
    consumer: CONSUMER,
    names,
    receive: (delivery) => {
      const isDead = delivery.event.id === dead.id;
      const settling = isDead ? delivery.receipt.dead(failure) : delivery.receipt.retry(1, failure);
      void settling.finally(() => {
        settled += 1;
      });
    },
  });
  await bus.publish(failed);
  await bus.publish(dead);
  await eventually(() => expect(settled).toBeGreaterThanOrEqual(2));
  await consumption.stop();
  await bus.publish(waiting);
  await bus.publish(anEvent({ name: 'ONNOBODYWANTS' }));
  return { failed: failed.id, dead: dead.id, waiting: waiting.id };
}

/** Real: PostgreSQL and RabbitMQ, each as the previous bus and as the one in use. */
(hasBroker ? describe : describe.skip)('moving to another bus', () => {
  let database: TestDatabase;
  let vhost: TestVhost;
  let pool: pg.Pool;
  const opened: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    database = await freshDatabase('libs/bus');
    pool = new pg.Pool({ connectionString: database.url, max: 1 });
    pool.on('error', () => undefined);
  });
  beforeEach(async () => {
    vhost = await freshVhost();
  });
  afterEach(async () => {
    for (const one of opened.splice(0).toReversed()) await one.close();
    await pool.query('TRUNCATE bus.messages, bus.dead_letters, bus.unrouted, bus.subscriptions');
    await vhost.drop();
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });

  async function openBus(kind: 'rabbitmq' | 'postgresql'): Promise<EventBus> {
    const bus = await openEventBus({
      ...(kind === 'rabbitmq' ? { amqpUrl: vhost.url } : { databaseUrl: database.url }),
      log: silentLog,
      retryDelaysMs,
      publishDeadlineMs: 5_000,
      pollMs: 50,
    });
    opened.push(bus);
    return bus;
  }

  /** As in a gateway whose bus in use is of this kind. */
  function newMover(
    to: 'rabbitmq' | 'postgresql',
    bus: EventBus,
    changes: Partial<BusMoverOptions> = {},
  ): BusMover {
    const mover = new BusMover({
      amqpUrl: to === 'rabbitmq' ? vhost.url : undefined,
      previousAmqpUrl: to === 'rabbitmq' ? undefined : vhost.url,
      databaseUrl: database.url,
      bus,
      consumers: async () => [CONSUMER],
      log: silentLog,
      retryDelaysMs,
      everyMs: 50,
      ...changes,
    });
    opened.push(mover);
    return mover;
  }

  it.each([
    ['postgresql', 'rabbitmq'],
    ['rabbitmq', 'postgresql'],
  ] as const)('from %s to %s brings what waits, retries, lies dead and is unrouted', async (from, to) => {
    const [before, inUse] = [await openBus(from), await openBus(to)];
    const left = await leaveWork(before);
    const mover = newMover(to, inUse);
    const amqpUrl = to === 'rabbitmq' ? vhost.url : undefined;
    const admin = openBusAdmin({ amqpUrl, databaseUrl: database.url, log: silentLog, retryDelaysMs });
    opened.push(admin);

    // The waiting one may not have returned from the process that has just stopped.
    const moved = { messages: 0, letters: 0, unrouted: 0 };
    await eventually(async () => {
      const round = await mover.move();
      moved.messages += round.messages;
      moved.letters += round.letters;
      moved.unrouted += round.unrouted;
      expect(moved).toEqual({ messages: 2, letters: 1, unrouted: 1 });
    });
    expect(await mover.move()).toMatchObject({
      messages: 0,
      letters: 0,
      done: true,
      served: [],
      failed: [],
    });

    const deliveries = await collect(inUse, (all) => all.length >= 2);
    expect(new Set(deliveries.map(({ event }) => event.id))).toEqual(new Set([left.failed, left.waiting]));
    const failed = deliveries.find(({ event }) => event.id === left.failed);
    expect(failed?.receipt.attempts).toBeGreaterThanOrEqual(1);
    expect(failed?.receipt.firstFailedAt).toBeGreaterThan(Date.now() - 60_000);
    const { letters } = await admin.deadLetters.list(CONSUMER, {}, 10);
    expect(letters).toMatchObject([{ ...failure, attempts: 1, event: 'ONCRMCONTACTUPDATE' }]);
    expect((await admin.deadLetters.show(CONSUMER, letters[0]?.id ?? ''))?.content).toMatchObject({
      id: left.dead,
    });
    expect((await admin.unrouted()).map(({ name }) => name)).toEqual(['ONNOBODYWANTS']);
    await admin.deadLetters.drop(CONSUMER, {}, 10);
  });

  it('loses nothing when interrupted, and goes on', async () => {
    const [before, inUse] = [await openBus('postgresql'), await openBus('rabbitmq')];
    await (await before.consume({ consumer: CONSUMER, names, receive: () => undefined })).stop();
    const ids = new Set<string>();
    const events = Array.from({ length: 2_000 }, () => anEvent());
    for (const { id } of events) ids.add(id);
    await pool.query(
      `INSERT INTO bus.messages (consumer, shard, content) SELECT $1, 3, content::json FROM unnest($2::text[]) AS content`,
      [CONSUMER, events.map((event) => encodeMessage(event).toString())],
    );
    const left = async (): Promise<number> =>
      (await pool.query('SELECT FROM bus.messages WHERE consumer = $1', [CONSUMER])).rows.length;
    const broker = new URL(vhost.url);
    const link = await CuttableLink.to(Number(broker.port || '5672'), broker.hostname);
    opened.unshift({ close: () => link.cut() });
    broker.host = `127.0.0.1:${link.port}`;
    const mover = newMover('rabbitmq', inUse, { amqpUrl: broker.href });

    const round = mover.move();
    await eventually(async () => expect(await left()).toBeLessThan(ids.size), { everyMs: 1 });
    await link.cut();
    expect(await round).toMatchObject({ failed: ['the tables of schema bus'] });
    expect(await left()).toBeGreaterThan(0);
    await link.mend();
    await eventually(async () => {
      await mover.move();
      expect(await left()).toBe(0);
    });
    const deliveries = await collect(
      inUse,
      (all) => new Set(all.map(({ event }) => event.id)).size >= ids.size,
    );
    expect(new Set(deliveries.map(({ event }) => event.id))).toEqual(ids);
  });

  it('moves the others when the new bus rejects one consumer, and logs it', async () => {
    const inUse = await openBus('rabbitmq');
    const broker = await amqp.connect(vhost.url);
    const channel = await broker.createChannel();
    await channel.assertQueue('b24.another.0', { durable: true, arguments: { 'x-queue-type': 'classic' } });
    await broker.close();
    const event = anEvent();
    for (const consumer of ['another', CONSUMER]) {
      await pool.query('INSERT INTO bus.messages (consumer, shard, content) VALUES ($1, 0, $2::json)', [
        consumer,
        encodeMessage(event).toString(),
      ]);
    }
    const mover = newMover('rabbitmq', inUse, { consumers: async () => ['another', CONSUMER] });
    await eventually(async () => {
      expect(await mover.move()).toMatchObject({ failed: ['the tables of schema bus'] });
      const { rows } = await pool.query('SELECT consumer FROM bus.messages');
      expect(rows).toEqual([{ consumer: 'another' }]);
    });
    const [moved] = await collect(inUse, (all) => all.length > 0);
    expect(moved?.event.id).toBe(event.id);
  });

  it('skips a consumer whose processes still use the previous bus, until they end', async () => {
    const [before, inUse] = [await openBus('postgresql'), await openBus('rabbitmq')];
    const held: Delivery[] = [];
    const consumption = await before.consume({
      consumer: CONSUMER,
      names,
      receive: (delivery) => void held.push(delivery),
    });
    await before.publish(anEvent());
    await eventually(() => expect(held).toHaveLength(1));
    const mover = newMover('rabbitmq', inUse);
    expect(await mover.move()).toMatchObject({ messages: 0, served: [CONSUMER] });
    mover.start();
    await consumption.stop();
    const [delivery] = await collect(inUse, (all) => all.length > 0);
    expect(delivery?.event).toEqual(held[0]?.event);
  });

  it('is done by one process at a time', async () => {
    const inUse = await openBus('rabbitmq');
    await pool.query(`INSERT INTO bus.unrouted (content) SELECT '{"v":2}' FROM generate_series(1, 10)`);
    const client = await pool.connect();
    await client.query('BEGIN');
    await client.query(`INSERT INTO bus.operator_turns VALUES ('bus move')`);
    await expect(newMover('rabbitmq', inUse).move()).rejects.toMatchObject({
      code: 'OPERATION_IN_PROGRESS',
    });
    await client.query('ROLLBACK');
    client.release();
    // Messages of a newer version stay where they are.
    expect(await newMover('rabbitmq', inUse).move()).toMatchObject({ unrouted: 0, done: true });
    const { rows } = await pool.query('SELECT FROM bus.unrouted');
    expect(rows).toHaveLength(10);
  });

  it('never takes the bus in use for the previous one, whatever its address', async () => {
    const inUse = await openBus('rabbitmq');
    await leaveWork(inUse);
    const same = new URL(vhost.url);
    same.hostname = same.hostname === 'localhost' ? '127.0.0.1' : 'localhost';
    const log = new RecordedLog();
    const mover = newMover('rabbitmq', inUse, { previousAmqpUrl: same.href, log });
    expect(await mover.move()).toMatchObject({
      messages: 0,
      letters: 0,
      unrouted: 0,
      done: true,
      failed: [],
    });
    expect(log.text()).toBe('[]');
    await collect(inUse, (all) => all.length >= 2);
  });

  it('logs that the previous bus cannot be reached, and what to do', async () => {
    const inUse = await openBus('postgresql');
    const log = new RecordedLog();
    const mover = newMover('postgresql', inUse, { previousAmqpUrl: 'amqp://127.0.0.1:1', log });
    expect(await mover.move()).toMatchObject({ failed: ['PREVIOUS_AMQP_URL'] });
    expect(log.read('error').map(({ message }) => message)).toEqual([
      expect.stringContaining('relay bus move'),
    ]);
  });

  it.each(['postgresql', 'rabbitmq'] as const)(
    'does not block messages behind an unreadable one on %s',
    async (from) => {
      const inUse = await openBus(from === 'postgresql' ? 'rabbitmq' : 'postgresql');
      await (await inUse.consume({ consumer: CONSUMER, names, receive: () => undefined })).stop();
      const event = anEvent();
      const contents = [...Array.from({ length: 150 }, () => '{"v":9}'), encodeMessage(event).toString()];
      if (from === 'postgresql') {
        await pool.query('INSERT INTO bus.unrouted (content) SELECT unnest($1::text[])::json', [contents]);
      } else {
        await openBus('rabbitmq');
        const connection = await amqp.connect(vhost.url);
        const channel = await connection.createConfirmChannel();
        for (const content of contents) channel.sendToQueue('b24.unrouted', Buffer.from(content));
        await channel.waitForConfirms();
        await connection.close();
      }
      const mover = newMover(from === 'postgresql' ? 'rabbitmq' : 'postgresql', inUse);
      await eventually(async () => expect(await mover.move()).toMatchObject({ unrouted: 1, failed: [] }));
      const [moved] = await collect(inUse, (all) => all.length > 0);
      expect(moved?.event.id).toBe(event.id);
    },
  );

  it('moves the others when the new bus rejects one message, and logs it', async () => {
    const [before, inUse] = [await openBus('rabbitmq'), await openBus('postgresql')];
    await (await before.consume({ consumer: CONSUMER, names, receive: () => undefined })).stop();
    const connection = await amqp.connect(vhost.url);
    const channel = await connection.createConfirmChannel();
    const ids = Array.from({ length: 40 }, () => anEvent());
    const rejected = Array.from({ length: 20 }, () => anEvent());
    for (const event of [...rejected, ...ids])
      channel.sendToQueue(shardQueue(CONSUMER, 3), encodeMessage(event));
    await channel.waitForConfirms();
    await connection.close();
    await pool.query(
      `ALTER TABLE bus.messages ADD CONSTRAINT rejects CHECK (NOT (content::jsonb ->> 'id' = ANY ('{${rejected.map(({ id }) => id).join()}}')))`,
    );
    try {
      await eventually(async () => {
        expect(await newMover('postgresql', inUse).move()).toMatchObject({ failed: ['PREVIOUS_AMQP_URL'] });
        expect((await pool.query('SELECT FROM bus.messages')).rowCount).toBe(ids.length);
      });
    } finally {
      await pool.query('ALTER TABLE bus.messages DROP CONSTRAINT rejects');
    }
    await eventually(async () => {
      await newMover('postgresql', inUse).move();
      expect((await pool.query('SELECT FROM bus.messages')).rowCount).toBe(ids.length + rejected.length);
    });
  });

  it('keeps content that is not JSON as text for an operator', async () => {
    const [before, inUse] = [await openBus('rabbitmq'), await openBus('postgresql')];
    await (await before.consume({ consumer: CONSUMER, names, receive: () => undefined })).stop();
    const connection = await amqp.connect(vhost.url);
    const channel = await connection.createConfirmChannel();
    channel.sendToQueue(shardQueue(CONSUMER, 3), Buffer.from('no "JSON" \0'));
    await channel.waitForConfirms();
    await connection.close();
    await eventually(async () =>
      expect(await newMover('postgresql', inUse).move()).toMatchObject({ messages: 1 }),
    );
    const { rows } = await pool.query('SELECT shard, content FROM bus.messages');
    expect(rows).toEqual([{ shard: 3, content: 'no "JSON" \0' }]);
  });
});
