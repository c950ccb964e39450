import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Module, type Type } from '@nestjs/common';
import {
  CONSUMER_VARIABLES,
  startConsumer,
  type RunningConsumer,
  OnPortalEvents,
  type PortalBatch,
} from '@relay/consumer';
import { readEnvironment } from '@relay/platform';
import amqp, { type Channel } from 'amqplib';
import { z } from 'zod';
import { hasBroker, rabbitmqctl } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { eventOf, InstalledApplication, postForm } from '../support/installed-application.js';
import { askGateway, command } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

jest.setTimeout(120_000);

/** What each consumer has handled. */
const handled = { deals: new Map<string, number>(), both: new Map<string, number>() };

function note(seen: Map<string, number>, { entries }: PortalBatch): void {
  for (const { entity } of entries) seen.set(entity, (seen.get(entity) ?? 0) + 1);
}

@Controller()
class DealsController {
  @OnPortalEvents(['ONCRMDEALADD'], { merge: false })
  async watch(batch: PortalBatch): Promise<void> {
    note(handled.deals, batch);
  }
}

@Controller()
class BothController {
  @OnPortalEvents(['ONCRMDEALADD', 'ONCRMLEADADD'], { merge: false })
  async watch(batch: PortalBatch): Promise<void> {
    note(handled.both, batch);
  }
}

@Module({ controllers: [DealsController] })
class DealsModule {}

@Module({ controllers: [BothController] })
class BothModule {}

const consumers: [name: string, module: Type][] = [
  ['deals', DealsModule],
  ['both', BothModule],
];

/** @returns those that do not come */
async function missed(entities: readonly string[], seen: Map<string, number>): Promise<string[]> {
  const left = (): string[] => entities.filter((entity) => !seen.has(entity));
  await eventually(() => {
    if (left().length > 0) throw new Error('not yet');
  }).catch(() => undefined);
  return left();
}

/** Real: gateway, command line, PostgreSQL, RabbitMQ, two consumers, of which one wants what the other does. Simulated: Bitrix24. */
(hasBroker ? describe : describe.skip)('when RabbitMQ has lost what a consumer needs', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let applicationToken: string;
  let sent = 0;
  const running = new Map<string, RunningConsumer>();

  const start = async (): Promise<void> => {
    const environment = readEnvironment(CONSUMER_VARIABLES, {
      ...relay.env,
      OPS_PORT: '0',
      LOG_LEVEL: 'silent',
    });
    for (const [name, module] of consumers) {
      running.set(name, await startConsumer({ name, module }, environment));
    }
  };
  const stop = async (): Promise<void> => {
    await Promise.all([...running.values()].map((consumer) => consumer.close()));
    running.clear();
  };
  const atBroker = async <T>(work: (channel: Channel) => Promise<T>): Promise<T> => {
    const connection = await amqp.connect(relay.env['AMQP_URL'] ?? '');
    try {
      const channel = await connection.createChannel();
      // A queue that is not there; the question rejects, too.
      channel.on('error', () => undefined);
      return await work(channel);
    } finally {
      await connection.close();
    }
  };
  /** @returns the entities */
  const send = async (name: string, times: number): Promise<string[]> => {
    const entities: string[] = [];
    for (let left = times; left > 0; left--) {
      const id = String(++sent);
      const form = new URLSearchParams(eventOf(portal, name, applicationToken));
      form.set('data[FIELDS][ID]', id);
      const { status } = await postForm(`${relay.gatewayUrl}/b24/events`, form);
      expect(status).toBe(200);
      entities.push(`${name === 'ONCRMLEADADD' ? 'CRMLEAD' : 'CRMDEAL'}:${id}`);
    }
    return entities;
  };
  const nothingIsUnrouted = (): Promise<void> =>
    eventually(async () => expect(await askGateway(relay, 'GET', '/unrouted')).toEqual({ unrouted: [] }));
  const health = async (): Promise<unknown> =>
    (await fetch(`http://127.0.0.1:${relay.opsPort('gateway')}/health/ready`)).json();
  const waiting = (consumer: string): Promise<number> =>
    atBroker(async (channel) => {
      let messages = 0;
      for (let shard = 0; shard < 16; shard++) {
        messages += (await channel.checkQueue(`b24.${consumer}.${shard}`)).messageCount;
      }
      return messages;
    });
  /** The shard of the portal is the only one with messages. */
  const shardWithMessages = (consumer: string): Promise<string> =>
    eventually(() =>
      atBroker(async (channel) => {
        for (let shard = 0; shard < 16; shard++) {
          const queue = `b24.${consumer}.${shard}`;
          if ((await channel.checkQueue(queue)).messageCount > 0) return queue;
        }
        throw new Error('no messages yet');
      }),
    );
  const topology = async (): Promise<string> => (await command(relay, ['topology'])).screen;

  beforeAll(async () => {
    relay = await startRelay('RabbitMQ', []);
    portal = await relay.portal('acme');
    const app = new InstalledApplication(relay, portal);
    applicationToken = (await app.install('event', app.installUrl)).application_token;
  });
  beforeEach(start);
  afterEach(async () => {
    await stop();
    handled.deals.clear();
    handled.both.clear();
  });
  afterAll(async () => {
    await stop();
    await relay?.stop();
  });

  it('a queue, while its consumer is away: what came until it is made anew reaches the consumer all the same', async () => {
    await stop();
    await send('ONCRMLEADADD', 1);
    const queue = await shardWithMessages('both');
    await atBroker((channel) => channel.deleteQueue(queue));
    const leads = await send('ONCRMLEADADD', 5);
    // Before anybody starts the consumer.
    await eventually(async () => expect(await waiting('both')).toBe(5));
    await nothingIsUnrouted();
    expect(await health()).toMatchObject({
      status: 'degraded',
      reasons: { bus: expect.stringContaining('missing on RabbitMQ and were declared again') },
    });
    // The gateway reports it every few seconds.
    await eventually(async () =>
      expect(await topology()).toContain(`queue ${queue} was missing and was declared again`),
    );
    await start();
    expect(await missed(leads, handled.both)).toEqual([]);
  });

  it('one queue of two that want an event: it is noticed, said and made anew, though nothing is unrouted', async () => {
    await stop();
    await send('ONCRMDEALADD', 1);
    const queue = await shardWithMessages('deals');
    await atBroker((channel) => channel.deleteQueue(queue));
    await eventually(() => atBroker((channel) => channel.checkQueue(queue)));
    // Said when the last of the bindings stands, too.
    await eventually(async () =>
      expect(await health()).toMatchObject({
        status: 'degraded',
        reasons: { bus: expect.stringMatching(/ of .*deals.*: what they held is lost/) },
      }),
    );
    // The gateway reports it every few seconds.
    await eventually(async () =>
      expect(await topology()).toContain(`queue ${queue} was missing and was declared again`),
    );
    const deals = await send('ONCRMDEALADD', 5);
    await start();
    expect(await missed(deals, handled.deals)).toEqual([]);
    expect(await missed(deals, handled.both)).toEqual([]);
  });

  it('the exchange of all events: consumers that are away miss nothing, two that want one event included', async () => {
    await stop();
    await atBroker((channel) => channel.deleteExchange('b24.events'));
    const deals = await send('ONCRMDEALADD', 5);
    const leads = await send('ONCRMLEADADD', 5);
    await start();
    expect(await missed(deals, handled.deals)).toEqual([]);
    expect(await missed([...deals, ...leads], handled.both)).toEqual([]);
    await nothingIsUnrouted();
  });

  it('everything, as a broker that comes back empty: the gateway makes the queues before it publishes', async () => {
    await stop();
    const vhost = new URL(relay.env['AMQP_URL'] ?? '').pathname.slice(1);
    const user = decodeURIComponent(new URL(relay.env['AMQP_URL'] ?? '').username);
    await rabbitmqctl('delete_vhost', vhost);
    const journalled = await send('ONCRMDEALADD', 3);
    await rabbitmqctl('add_vhost', vhost);
    await rabbitmqctl('set_permissions', '-p', vhost, user, '.*', '.*', '.*');
    await eventually(async () => expect(await health()).toMatchObject({ checks: { bus: 'degraded' } }));
    await eventually(async () => expect(await waiting('deals')).toBe(3));
    const deals = [...journalled, ...(await send('ONCRMDEALADD', 3))];
    const leads = await send('ONCRMLEADADD', 3);
    await nothingIsUnrouted();
    await start();
    expect(await missed(deals, handled.deals)).toEqual([]);
    expect(await missed([...deals, ...leads], handled.both)).toEqual([]);
  });

  it('a binding: what was unrouted reaches its consumer, and what comes next, too', async () => {
    const [first = ''] = await send('ONCRMLEADADD', 1);
    expect(await missed([first], handled.both)).toEqual([]);
    await atBroker(async (channel) => {
      for (let shard = 0; shard < 16; shard++) {
        await channel.unbindQueue(`b24.both.${shard}`, 'b24.events', `ONCRMLEADADD.*.${shard}`);
      }
    });
    expect(await missed(await send('ONCRMLEADADD', 3), handled.both)).toEqual([]);
    await nothingIsUnrouted();
    expect(await missed(await send('ONCRMLEADADD', 1), handled.both)).toEqual([]);
  });

  it('and stays lost for a consumer that was drained or retired, which gets no more', async () => {
    expect(await command(relay, ['consumer', 'retire', 'both', '--drain'])).toMatchObject({ code: 0 });
    await stop();
    await eventually(async () =>
      expect(await askGateway(relay, 'GET', '/consumers')).toMatchObject({
        consumers: expect.arrayContaining([expect.objectContaining({ consumer: 'both', shardsServed: 0 })]),
      }),
    );
    await send('ONCRMLEADADD', 2);
    await atBroker((channel) => channel.deleteQueue('b24.deals.3'));
    // A whole round of the gateway's: it has made what it makes.
    await eventually(() => atBroker((channel) => channel.checkQueue('b24.deals.3')));
    expect(await waiting('both')).toBe(0);
    expect(await command(relay, ['consumer', 'retire', 'both'])).toMatchObject({ code: 0 });
    await atBroker((channel) => channel.deleteQueue('b24.deals.3'));
    await eventually(() => atBroker((channel) => channel.checkQueue('b24.deals.3')));
    await expect(atBroker((channel) => channel.checkQueue('b24.both.3'))).rejects.toThrow(/NOT_FOUND/);
    const counted = z.object({ unrouted: z.array(z.looseObject({ name: z.string(), events: z.number() })) });
    const { unrouted } = counted.parse(await askGateway(relay, 'GET', '/unrouted'));
    expect(unrouted.map(({ name, events }) => [name, events])).toEqual([['ONCRMLEADADD', 2]]);

    // Started again, it has not missed them: it was to get none. An operator may think otherwise.
    await start();
    expect(await command(relay, ['unrouted', 'replay', '--until', '1d'])).toMatchObject({
      screen:
        '0 replayed to their consumers, 2 stay: no consumer subscribes to them, or the filter excludes them.\n',
    });
    expect(await command(relay, ['unrouted', 'replay'])).toMatchObject({
      screen: '2 replayed to their consumers.\n',
    });
    await eventually(() => expect(handled.both.size).toBe(2));
  });
});
