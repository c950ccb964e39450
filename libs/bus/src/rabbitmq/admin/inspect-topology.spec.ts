import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from '@relay/platform';
import amqp, { type ChannelModel } from 'amqplib';
import { freshVhost, hasBroker, rabbitmqctl, type TestVhost } from '../../../../../test/support/broker.js';
import type { EventBus } from '../../contract/event-bus.js';
import { openEventBus } from '../../open-bus.js';
import { checkTopology } from './inspect-topology.js';

jest.setTimeout(60_000);

const retryDelaysMs = [200, 400];
const quorum = { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 };

(hasBroker ? describe : describe.skip)('a check of the topology on RabbitMQ', () => {
  let vhost: TestVhost;
  let bus: EventBus;
  let connection: ChannelModel;
  beforeAll(async () => {
    vhost = await freshVhost();
    bus = await openEventBus({ amqpUrl: vhost.url, log: silentLog, retryDelaysMs });
    connection = await amqp.connect(vhost.url);
    for (const consumer of ['formatter', 'sync']) {
      await bus.consume({ consumer, names: ['ONCRMCONTACTADD'], receive: () => undefined });
    }
  });
  afterAll(async () => {
    await connection.close();
    await bus.close();
    await vhost.drop();
  });

  const probe = (consumers: string[]) => checkTopology(vhost.url, consumers, retryDelaysMs);

  it('finds everything in order: exchanges, shards, tiers, dead letters, unrouted events', async () => {
    const parts = await probe(['formatter', 'sync']);
    expect(parts.filter(({ state }) => state !== 'ok')).toEqual([]);
    const names = parts.map(({ name }) => name);
    for (const name of ['b24.events', 'b24.unrouted', 'b24.formatter.0', 'b24.sync.15']) {
      expect(names).toContain(name);
    }
    expect(parts.filter(({ consumer }) => consumer === 'sync')).toHaveLength(
      16 + 2 * retryDelaysMs.length + 1,
    );
  });

  it('names what is missing, and declares nothing', async () => {
    const channel = await connection.createChannel();
    await channel.deleteQueue('b24.formatter.retry.400ms');
    await channel.close();
    for (let looks = 0; looks < 2; looks++) {
      const wrong = (await probe(['formatter'])).filter(({ state }) => state !== 'ok');
      expect(wrong).toEqual([
        {
          kind: 'queue',
          name: 'b24.formatter.retry.400ms',
          consumer: 'formatter',
          state: 'missing',
          detail: null,
        },
      ]);
    }
    const missing = (await probe(['never-ran'])).filter(({ consumer }) => consumer === 'never-ran');
    expect(new Set(missing.map(({ state }) => state))).toEqual(new Set(['missing']));
  });

  it('names what was declared with other arguments, and which', async () => {
    const channel = await connection.createChannel();
    await channel.deleteQueue('b24.sync.dead');
    await channel.assertQueue('b24.sync.dead', { arguments: { 'x-queue-type': 'quorum' } });
    await channel.deleteExchange('b24.sync.retry.200ms');
    await channel.assertExchange('b24.sync.retry.200ms', 'direct');
    await channel.close();
    const wrong = (await probe(['sync'])).filter(({ state }) => state !== 'ok');
    expect(wrong.map(({ name, state }) => [name, state])).toEqual([
      ['b24.sync.retry.200ms', 'different'],
      ['b24.sync.dead', 'different'],
    ]);
    expect(wrong[1]?.detail).toContain('x-delivery-limit');
  });

  it('names a queue without a leader, although it can be declared', async () => {
    const channel = await connection.createChannel();
    await channel.assertQueue('b24.left.3', {
      arguments: { ...quorum, 'x-single-active-consumer': true },
    });
    await channel.assertQueue('b24.left.dead', { arguments: quorum });
    for (const queue of ['b24.left.3', 'b24.left.dead']) await endLeader(vhost.name, queue);
    expect(await channel.checkQueue('b24.left.3')).toMatchObject({ messageCount: 0 });
    await channel.close();
    const stopped = (await probe(['left', 'formatter'])).filter(({ state }) => state === 'unavailable');
    expect(stopped.map(({ name }) => name)).toEqual(['b24.left.dead', 'b24.left.3']);
  });
});

/** Stops the Raft server of a quorum queue, like the loss of its nodes. */
async function endLeader(vhost: string, queue: string): Promise<void> {
  await rabbitmqctl(
    'eval',
    `{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"${vhost}">>, queue, <<"${queue}">>)),
     ok = ra:stop_server(quorum_queues, amqqueue:get_pid(Q)).`,
  );
}
