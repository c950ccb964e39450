import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Module } from '@nestjs/common';
import {
  consumersResponse,
  deadLetterResponse,
  deadLettersResponse,
  eventsResponse,
  topologyResponse,
  unroutedResponse,
} from '@relay/admin-contract';
import {
  CONSUMER_VARIABLES,
  startConsumer,
  type RunningConsumer,
  OnPortalEvents,
  type PortalBatch,
} from '@relay/consumer';
import { readEnvironment } from '@relay/platform';
import amqp from 'amqplib';
import pg from 'pg';
import { z } from 'zod';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { eventOf, InstalledApplication, postForm } from '../support/installed-application.js';
import { startCommand, type Ended } from '../support/command-host.js';
import { askGateway, command } from '../support/operator.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const consumerName = 'deal-watcher';
const handled: string[] = [];
let breaks = false;
let isBusy = false;

@Controller()
class DealsController {
  @OnPortalEvents(['ONCRMDEALADD'], { merge: false })
  async watch({ entries }: PortalBatch): Promise<void> {
    if (breaks) throw Object.assign(new Error('No access'), { code: 'ACCESS_DENIED', recovery: 'never' });
    if (isBusy) throw Object.assign(new Error('later'), { code: 'INTERNAL_SERVER_ERROR', recovery: 'retry' });
    handled.push(...entries.map(({ entity }) => entity));
  }
}

@Module({ controllers: [DealsController] })
class DealWatcherModule {}

/** Real: gateway, command line, PostgreSQL, RabbitMQ, a consumer. Simulated: Bitrix24. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])(
  'an operator of the bus on %s',
  (bus) => {
    let relay: Relay;
    let portal: SimulatedPortal;
    let applicationToken: string;
    let consumer: RunningConsumer | undefined;

    const startWatcher = async (): Promise<void> => {
      const variables = { ...relay.env, OPS_PORT: '0', LOG_LEVEL: 'silent' };
      const environment = readEnvironment(CONSUMER_VARIABLES, variables);
      consumer = await startConsumer({ name: consumerName, module: DealWatcherModule }, environment);
    };
    const stopWatcher = async (): Promise<void> => {
      await consumer?.close();
      consumer = undefined;
    };
    beforeAll(async () => {
      relay = await startRelay(bus, []);
      portal = await relay.portal('acme');
      const app = new InstalledApplication(relay, portal);
      applicationToken = (await app.install('event', app.installUrl)).application_token;
      await startWatcher();
      await eventually(async () =>
        expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONCRMDEALADD'),
      );
    }, 240_000);
    afterAll(async () => {
      await stopWatcher();
      await relay?.stop();
    }, 120_000);

    const run = (...args: string[]): Promise<Ended> => command(relay, args);
    const json = async (...args: string[]): Promise<unknown> => {
      const { code, screen } = await run(...args, '--json');
      expect([code, screen]).toEqual([0, expect.any(String)]);
      return JSON.parse(screen);
    };
    const send = async (name: string, times: number): Promise<void> => {
      for (let sent = 0; sent < times; sent++) {
        const { status } = await postForm(
          `${relay.gatewayUrl}/b24/events`,
          eventOf(portal, name, applicationToken),
        );
        expect(status).toBe(200);
      }
    };
    /** What a schema does not know, `parse` removes. */
    const matchesContract = async (path: string, schema: z.ZodType): Promise<void> => {
      const answer = await askGateway(relay, 'GET', path);
      expect(schema.parse(answer)).toEqual(answer);
    };
    const lettersAre = (count: number): Promise<void> =>
      eventually(async () =>
        expect(await askGateway(relay, 'GET', '/dead-letters')).toMatchObject({ matching: count }),
      );
    const statusOf = async (): Promise<unknown> =>
      z.object({ consumers: z.tuple([z.unknown()]) }).parse(await askGateway(relay, 'GET', '/consumers'))
        .consumers[0];
    const letDie = async (count: number): Promise<void> => {
      breaks = true;
      await send('ONCRMDEALADD', count);
      await lettersAre(count);
      breaks = false;
    };

    it('sees every command and its options in the help', async () => {
      const { code, screen } = await run('--help');
      expect(code).toBe(0);
      for (const words of ['dead list', 'dead show <consumer> <id>', 'dead replay', 'dead drop', 'queues']) {
        expect(screen).toContain(words);
      }
      for (const words of ['journal status', 'unrouted', 'topology', 'consumer retire', 'retries list']) {
        expect(screen).toContain(words);
      }
      expect((await run('dead', 'list', '--help')).screen).toContain('--since <time>');
    }, 240_000);

    it('sees who works, and that nothing waits', async () => {
      const { code, screen } = await run('queues');
      expect(code).toBe(0);
      expect(screen).toMatch(/^consumer +waiting +oldest +in hand +retrying +dead +processes\n/);
      expect(screen).toMatch(/\ndeal-watcher +0 +- +0 +0 +0 +1\n$/);
      await matchesContract('/consumers', consumersResponse);
      expect(await json('queues')).toMatchObject([
        {
          consumer: consumerName,
          events: ['ONCRMDEALADD'],
          processes: [{ pid: process.pid }],
          missing: false,
        },
      ]);
    }, 240_000);

    it('sees what became of an event, and sends it again if it carried nothing but an id', async () => {
      const follower = startCommand(['events', '--follow', '--json'], {
        env: { ...relay.env, OPS_PORT: relay.opsPort('control-plane') },
      });
      await send('ONCRMDEALADD', 1);
      const withData = eventOf(portal, 'ONCRMDEALADD', applicationToken);
      withData.set('data[FIELDS][TITLE]', 'a secret deal');
      expect((await postForm(`${relay.gatewayUrl}/b24/events`, withData)).status).toBe(200);
      const listed = await eventually(async () => {
        const { events } = eventsResponse.parse(
          await askGateway(relay, 'GET', '/events?name=ONCRMDEALADD&outcome=done'),
        );
        expect(events).toHaveLength(2);
        return events;
      });
      expect(JSON.stringify(listed)).not.toContain('secret deal');
      for (const one of listed) {
        expect(one).toMatchObject({
          memberId: portal.memberId,
          event: 'ONCRMDEALADD',
          entity: 'CRMDEAL:82',
          source: null,
          outcomes: [{ consumer: consumerName, outcome: 'done', attempts: 0, code: null, mergedInto: null }],
        });
      }
      await matchesContract('/events', eventsResponse);
      const [bare, full] = [true, false].map(
        (is) => listed.find(({ resendable }) => resendable === is)?.id ?? '',
      );
      expect((await run('events', '--portal', 'acme', '--thing', 'CRMDEAL:82')).screen).toMatch(
        new RegExp(
          `^received +portal +event +entity +consumers +id +trace\n(20\\S+Z  acme\\..*  ONCRMDEALADD  CRMDEAL:82  deal-watcher done  \\S+\n){2}$`,
        ),
      );
      const before = handled.length;
      const sent = await json('events', 'resend', bare ?? '');
      const { id } = z.object({ id: z.uuid() }).parse(sent);
      await eventually(() => expect(handled.slice(before)).toEqual(['CRMDEAL:82']));
      await eventually(async () => {
        const { events } = eventsResponse.parse(await askGateway(relay, 'GET', '/events?limit=1'));
        expect(events).toMatchObject([{ id, source: 'resend', outcomes: [{ outcome: 'done' }] }]);
      });
      expect(await run('events', 'resend', full ?? '')).toMatchObject({
        code: 1,
        screen: expect.stringContaining('It carried more than the id of its thing'),
      });
      expect(await run('events', 'resend', '1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b')).toMatchObject({
        code: 1,
        screen: expect.stringContaining('The event log has no event'),
      });
      expect(await run('events', 'resend', 'none')).toMatchObject({ code: 2 });
      expect(await run('events', '--outcome', 'lost')).toMatchObject({
        code: 2,
        screen: expect.stringContaining('must be one of received, done'),
      });
      await eventually(() => {
        const done = follower.log().match(/^\{.*"consumer":"deal-watcher","outcome":"done".*\}$/gm) ?? [];
        expect(new Set(done.map((line) => z.object({ id: z.string() }).parse(JSON.parse(line)).id))).toEqual(
          new Set([bare, full, id]),
        );
      });
      await follower.stop();
    }, 240_000);

    it('reads dead letters, and has them tried again once the reason is gone', async () => {
      await letDie(3);
      const listed = await run('dead', 'list', '--consumer', consumerName, '--since', '2h', '--limit', '2');
      expect(listed.screen).toMatch(/ACCESS_DENIED .*ONCRMDEALADD +CRMDEAL:82\n/);
      expect(listed.screen).toMatch(/^consumer +id +died +attempts +error +portal +domain +event +entity\n/);
      expect(listed.screen).toMatch(new RegExp(`${portal.memberId}  acme\\.`));
      const [, after = ''] = /and 1 more: --limit .+, --after (\w+) the next ones/.exec(listed.screen) ?? [];
      expect(
        await json('dead', 'list', '--consumer', consumerName, '--since', '2h', '--after', after),
      ).toMatchObject({ deadLetters: [{ consumer: consumerName }], matching: 1, complete: true });
      const none = await run('dead', 'list', '--error', 'NOT_FOUND');
      expect(none).toEqual({ code: 0, screen: 'No dead letters.\n' });
      expect(await json('dead', 'list', '--portal', 'acme')).toMatchObject({ matching: 3 });

      const [, id = ''] = /^deal-watcher +(\w+)/m.exec(listed.screen) ?? [];
      await matchesContract('/dead-letters', deadLettersResponse);
      await matchesContract(`/dead-letters/${consumerName}/${id}`, deadLetterResponse);
      const shown = await run('dead', 'show', consumerName, id);
      expect(shown.screen).toContain('ACCESS_DENIED: No access');
      expect(shown.screen).toContain(`"memberId": "${portal.memberId}"`);
      expect(shown.screen).not.toContain(applicationToken);

      handled.length = 0;
      const replayed = await run('dead', 'replay', '--portal', portal.memberId, '--rate', '100');
      expect(replayed).toEqual({ code: 0, screen: '3 dead letters replayed to their consumers.\n' });
      await eventually(() => expect(handled).toEqual(['CRMDEAL:82', 'CRMDEAL:82', 'CRMDEAL:82']));
      await lettersAre(0);
    }, 240_000);

    it('sees what waits for its next attempt, and when that is', async () => {
      isBusy = true;
      await send('ONCRMDEALADD', 1);
      await eventually(async () => {
        const { screen } = await run('retries', 'list', '--portal', 'acme');
        expect(screen).toMatch(/^consumer +due +attempts +error +portal +domain +event +entity\n/);
        expect(screen).toMatch(
          /\ndeal-watcher +(in \d+ s|now) +\d+ +INTERNAL_SERVER_ERROR +\w+ +acme\.\S+ +ONCRMDEALADD +CRMDEAL:82\n/,
        );
      });
      handled.length = 0;
      isBusy = false;
      // Of the second tier, where the machine is slow. What is being delivered is not listed, and not handled yet.
      await eventually(() => expect(handled).toEqual(['CRMDEAL:82']), { timeoutMs: 60_000, everyMs: 100 });
      expect(await json('retries', 'list', '--consumer', consumerName)).toMatchObject({ matching: 0 });
    }, 240_000);

    it('drops dead letters only when told which', async () => {
      await letDie(2);
      const unsaid = await run('dead', 'drop');
      expect([unsaid.code, unsaid.screen]).toEqual([2, expect.stringContaining('say which letters')]);
      expect(await run('dead', 'drop', '--error', 'NOT_FOUND')).toMatchObject({
        screen: '0 dead letters dropped.\n',
      });
      expect(await json('dead', 'drop', '--all', '--limit', '1')).toEqual({ dropped: 1 });
      expect(await json('dead', 'drop', '--error', 'ACCESS_DENIED')).toEqual({ dropped: 1 });
      await lettersAre(0);
    }, 240_000);

    it('sees what one could subscribe to', async () => {
      await send('ONCRMLEADADD', 2);
      await send('ONCRMDYNAMICITEMADD_147', 1);
      await eventually(async () => {
        const { unrouted } = z
          .object({ unrouted: z.array(z.unknown()) })
          .parse(await askGateway(relay, 'GET', '/unrouted'));
        expect(unrouted).toHaveLength(2);
      });
      await matchesContract('/unrouted', unroutedResponse);
      const { screen } = await run('unrouted');
      expect(screen).toMatch(/\nONCRMLEADADD +2 +1 .* ago\n/);
      expect(screen).toMatch(/\nONCRMDYNAMICITEMADD_147 +1 +1 .* ago\n/);
      expect(await json('unrouted', 'replay')).toEqual({ replayed: 0, left: 3 });
    }, 240_000);

    it('sees the journal of the gateway', async () => {
      // The gateway reports it every few seconds.
      await eventually(async () => {
        const { code, screen } = await run('journal', 'status');
        expect([code, screen]).toEqual([0, expect.stringContaining('Slot 0: empty')]);
      });
      expect(await json('journal', 'status')).toMatchObject({
        gateways: [{ slot: 0, events: 0, isBusAway: false, others: [] }],
      });
    }, 240_000);

    it('sees that everything stands, and what does not', async () => {
      const whole = await run('topology');
      expect([whole.code, whole.screen]).toEqual([
        0,
        expect.stringContaining('Every queue and exchange is as it must be.'),
      ]);
      await matchesContract('/topology', topologyResponse);
      const broken = await breakSomething();
      const checked = await run('topology');
      expect([checked.code, checked.screen]).toEqual([1, expect.stringContaining(broken.said)]);
      await stopWatcher();
      await broken.mend();
      await startWatcher();
      expect((await run('topology')).code).toBe(0);
    }, 120_000);

    /** What is only missing, the gateway makes anew on RabbitMQ: so there it is something that stands in the way. */
    async function breakSomething(): Promise<{ said: string; mend: () => Promise<void> }> {
      if (bus === 'RabbitMQ') {
        const queue = `b24.${consumerName}.retry.1h`;
        const atBroker = async (work: (channel: amqp.Channel) => Promise<unknown>): Promise<void> => {
          const connection = await amqp.connect(relay.env['AMQP_URL'] ?? '');
          await work(await connection.createChannel());
          await connection.close();
        };
        await atBroker(async (channel) => {
          await channel.deleteQueue(queue);
          await channel.assertQueue(queue, { arguments: { 'x-queue-type': 'quorum' } });
        });
        const mend = (): Promise<void> => atBroker((channel) => channel.deleteQueue(queue));
        return { said: `queue ${queue} IS DIFFERENT`, mend };
      }
      const database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
      await database.connect();
      await database.query('DELETE FROM bus.subscriptions WHERE consumer = $1', [consumerName]);
      await database.end();
      return { said: 'subscription ONCRMDEALADD IS MISSING', mend: async () => undefined };
    }

    it('retires a consumer that has no work left, and no other', async () => {
      const taken = await run('consumer', 'register', consumerName, '--events', 'ONCRMLEADADD');
      expect(taken).toEqual({
        code: 1,
        screen: `relay: ${consumerName} runs here, and says itself at each start which events it wants\n`,
      });
      const alive = await run('consumer', 'retire', consumerName);
      expect(alive.code).toBe(1);
      expect(alive.screen).toContain(`${consumerName} is still at work: process ${process.pid} on `);

      await letDie(1);
      await stopWatcher();
      await eventually(async () => expect(await statusOf()).toMatchObject({ shardsServed: 0 }));
      const left = await run('consumer', 'retire', consumerName);
      expect([left.code, left.screen]).toEqual([1, expect.stringContaining('still has work: 1 dead')]);
      await send('ONCRMDEALADD', 1);
      await eventually(async () => expect(await statusOf()).toMatchObject({ waiting: 1 }));
      expect((await run('queues')).screen).toMatch(/\ndeal-watcher +1 .*NOBODY WORKS ON IT/);
      const retired = await run('consumer', 'retire', consumerName, '--drop');
      expect(retired).toEqual({
        code: 0,
        screen: `${consumerName} is retired: its queues are deleted. 2 events were deleted with it.\n`,
      });
      expect(await run('queues')).toEqual({ code: 0, screen: 'No consumer has ever started here.\n' });
      const handlerUrl = `${relay.gatewayUrl}/b24/events`;
      await eventually(async () =>
        expect(await portal.eventsBoundTo(handlerUrl)).not.toContain('ONCRMDEALADD'),
      );
      expect(await portal.eventsBoundTo(handlerUrl)).toContain('ONAPPUNINSTALL');
      const again = await run('consumer', 'retire', consumerName);
      expect(again).toEqual({ code: 1, screen: `relay: There is no consumer ${consumerName}\n` });
    }, 240_000);
  },
);
