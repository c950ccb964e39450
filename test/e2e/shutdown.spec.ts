import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { openEventBus, type EventBus } from '@relay/bus';
import { silentLog } from '@relay/platform';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { freePort, hasBroker } from '../support/broker.js';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { eventOf } from '../support/installed-application.js';
import { AppProcess } from '../support/processes.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** What docker-compose.yml gives a process before it is killed. */
const graceMs = 75_000;

/** Real: processes that end, PostgreSQL, RabbitMQ, and links to them that freeze. Simulated: Bitrix24. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])(
  'a process that ends, on %s',
  (kind) => {
    let relay: Relay;
    let portal: SimulatedPortal;
    let token: string;
    const started: AppProcess[] = [];
    const links: CuttableLink[] = [];
    const sockets: Socket[] = [];

    beforeAll(async () => {
      relay = await startRelay(kind, []);
      portal = await relay.portal('acme');
      ({ application_token: token } = await portal.install(`${relay.gatewayUrl}/b24/install`));
    }, 240_000);
    afterEach(async () => {
      for (const socket of sockets.splice(0)) socket.destroy();
      await Promise.all(started.splice(0).map((app) => app.stop('SIGKILL')));
      for (const link of links.splice(0)) await link.cut();
    });
    afterAll(() => relay?.stop(), 120_000);

    async function start(
      entry: string,
      changes: Record<string, string> = {},
    ): Promise<{ app: AppProcess; opsUrl: string; url: string }> {
      const [port, opsPort] = [await freePort(), await freePort()];
      const url = `http://127.0.0.1:${port}`;
      const app = AppProcess.start(entry, entry, {
        ...relay.env,
        PORT: String(port),
        OPS_PORT: String(opsPort),
        PUBLIC_URL: url,
        ...changes,
      });
      started.push(app);
      const opsUrl = `http://127.0.0.1:${opsPort}`;
      await app.ready(`${opsUrl}/health/ready`);
      return { app, opsUrl, url };
    }

    /** Both servers behind links that a test can freeze. */
    async function behindLinks(): Promise<Record<string, string>> {
      const changes: Record<string, string> = {};
      for (const name of kind === 'RabbitMQ' ? ['DATABASE_URL', 'AMQP_URL'] : ['DATABASE_URL']) {
        const target = new URL(relay.env[name] ?? '');
        const link = await CuttableLink.to(
          Number(target.port || (name === 'AMQP_URL' ? '5672' : '5432')),
          target.hostname,
        );
        links.push(link);
        target.host = `127.0.0.1:${link.port}`;
        changes[name] = target.href;
      }
      return changes;
    }

    async function eventBus(): Promise<EventBus> {
      return openEventBus({
        ...(kind === 'RabbitMQ' && { amqpUrl: relay.env['AMQP_URL'] ?? '' }),
        databaseUrl: relay.env['DATABASE_URL'] ?? '',
        log: silentLog,
        pollMs: 100,
      });
    }

    function sendEvent(url: string): Promise<Response> {
      return fetch(`${url}/b24/events`, { method: 'POST', body: eventOf(portal, 'ONCRMCONTACTADD', token) });
    }

    it('does not wait for ever for a handler that hangs, says so, and its event goes to the next', async () => {
      const { app } = await start('../test/support/hanging-consumer.mjs', { DRAIN_WITHIN_MS: '300' });
      expect((await sendEvent(relay.gatewayUrl)).status).toBe(200);
      await eventually(() => expect(app.log()).toContain('in hand'));
      expect(await app.stop()).toBe(0);
      expect(app.log()).toMatch(
        /"level":"warn".*"batches":1.*batches did not end in time; their events return to the bus/,
      );

      const bus = await eventBus();
      try {
        const again: string[] = [];
        await bus.consume({
          consumer: 'hanging',
          names: ['ONCRMCONTACTADD'],
          receive: (delivery) => {
            again.push(delivery.event.name);
            void delivery.receipt.done();
          },
        });
        await eventually(() => expect(again).toContain('ONCRMCONTACTADD'));
      } finally {
        await bus.close();
      }
    }, 120_000);

    it('ends in far less than its grace while broker and database have frozen, and says what it left open', async () => {
      const frozen = await behindLinks();
      const [consumer, gateway] = [
        await start('apps/name-formatter/src/main.js', frozen),
        await start('apps/gateway/src/main.js', { ...frozen, DATA_DIR: `${relay.env['DATA_DIR']}/frozen` }),
      ];
      for (const link of links) link.freeze();
      const beganAt = performance.now();
      const codes = await Promise.all([consumer.app.stop(), gateway.app.stop()]);
      expect(performance.now() - beganAt).toBeLessThan(graceMs / 2);
      for (const [index, { app }] of [consumer, gateway].entries()) {
        expect(app.log()).toMatch(/"msg":"(name-formatter|gateway) stopped"/);
        const isSaid = app.log().includes('while closing: Not closed in good order');
        expect(codes[index]).toBe(isSaid ? 1 : 0);
      }
    }, 240_000);

    it('takes what comes on an open connection while it finishes what is in hand', async () => {
      const { app, opsUrl, url } = await start('apps/gateway/src/main.js', {
        DATA_DIR: `${relay.env['DATA_DIR']}/ending`,
      });
      const body = eventOf(portal, 'ONCRMCONTACTADD', token).toString();
      const request = requestOf(url, body);
      const { socket, answers } = await halfSent(url, request, 10);
      app.signal('SIGTERM');
      await eventually(async () => expect((await fetch(`${opsUrl}/health/ready`)).status).toBe(503));
      socket.write(request.slice(-10) + request);
      expect(await app.end()).toBe(0);
      expect(answers.join('').match(/HTTP\/1\.1 [2-5]\d\d/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
    }, 120_000);

    it('ends at once at a second signal, with 1, whatever it waits for', async () => {
      const { app, opsUrl, url } = await start('apps/gateway/src/main.js', {
        DATA_DIR: `${relay.env['DATA_DIR']}/second`,
      });
      await halfSent(url, requestOf(url, 'event=ONCRMCONTACTADD'), 1);
      app.signal('SIGTERM');
      await eventually(async () => expect((await fetch(`${opsUrl}/health/ready`)).status).toBe(503));
      expect(await app.stop()).toBe(1);
      expect(app.log()).not.toContain('gateway stopped');
    }, 120_000);

    /** A request in hand, of which so many bytes are still to come. */
    async function halfSent(
      url: string,
      request: string,
      missing: number,
    ): Promise<{ socket: Socket; answers: string[] }> {
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      socket.on('error', () => undefined);
      sockets.push(socket);
      await once(socket, 'connect');
      const answers: string[] = [];
      socket.setEncoding('utf8').on('data', (text: string) => answers.push(text));
      socket.write(request.slice(0, -missing));
      await eventually(() => expect(answers.join('')).toContain('100 Continue'));
      return { socket, answers };
    }
  },
);

function requestOf(url: string, body: string): string {
  return [
    'POST /b24/events HTTP/1.1',
    `host: ${new URL(url).host}`,
    'content-type: application/x-www-form-urlencoded',
    `content-length: ${body.length}`,
    // Answered when the request has been taken in hand.
    'expect: 100-continue',
    '',
    body,
  ].join('\r\n');
}
