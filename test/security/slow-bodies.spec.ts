import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { connect, type Socket } from 'node:net';
import { freePort } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { eventOf, postForm } from '../support/installed-application.js';
import { AppProcess } from '../support/processes.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** More sockets than the gateway may have descriptors. */
const SLOW_SOCKETS = 600;
const MAX_FILES = 400;

/** Real: gateway and PostgreSQL. Strangers open sockets and send a byte now and then. */
describe('slow senders', () => {
  let relay: Relay;
  let gateway: AppProcess;
  let opsPort: number;
  let portal: SimulatedPortal;
  let applicationToken: string;
  const slow = new Set<Socket>();
  let dripping: NodeJS.Timeout | undefined;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    await relay.end('gateway');
    opsPort = await freePort();
    const env = { ...relay.env, OPS_PORT: String(opsPort), LOG_LEVEL: 'warn' };
    gateway = AppProcess.start('gateway', 'apps/gateway/src/main.js', env, { maxFiles: MAX_FILES });
    await gateway.ready(`http://127.0.0.1:${opsPort}/health/ready`);
    portal = await relay.portal('acme');
    const installed = await portal.install(`${relay.gatewayUrl}/b24/install`);
    expect(installed.status).toBe(200);
    applicationToken = installed.application_token;
  });
  afterEach(() => {
    clearInterval(dripping);
    for (const socket of slow) socket.destroy();
  });
  afterAll(async () => {
    await gateway?.stop();
    await relay?.stop();
  });

  /** @param head what each sends at once; a byte follows every second */
  function openSlow(count: number, port: number, head: string): void {
    for (let opened = 0; opened < count; opened += 1) {
      const socket = connect(port, '127.0.0.1');
      slow.add(socket);
      socket.on('error', () => undefined).on('close', () => slow.delete(socket));
      socket.resume();
      socket.write(head);
    }
    dripping ??= setInterval(() => {
      for (const socket of slow) socket.write('a');
    }, 1_000);
  }

  const slowBody = [
    'POST /b24/events HTTP/1.1',
    'Host: relay.example',
    'Content-Type: application/x-www-form-urlencoded',
    'Content-Length: 2000',
    '',
    'abc',
  ].join('\r\n');

  async function eventIsTaken(): Promise<void> {
    const startedAt = performance.now();
    const { status } = await postForm(
      `${relay.gatewayUrl}/b24/events`,
      eventOf(portal, 'ONCRMCONTACTADD', applicationToken),
    );
    expect(status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  }

  it('keep no event from its 200, nor operators from theirs, and are closed within twenty seconds', async () => {
    const publicPort = Number(relay.env['PORT']);
    openSlow(SLOW_SOCKETS, publicPort, slowBody);
    openSlow(SLOW_SOCKETS, publicPort, 'POST /b24/ev');
    openSlow(SLOW_SOCKETS, opsPort, 'GET /hea');
    for (let event = 0; event < 5; event += 1) await eventIsTaken();
    for (const [port, path] of [
      [publicPort, 'health/live'],
      [opsPort, 'health/ready'],
    ]) {
      expect((await fetch(`http://127.0.0.1:${port}/${path}`)).status).toBe(200);
    }
    expect(gateway.log()).not.toContain('EMFILE');
    await eventually(() => expect(slow.size).toBe(0), { timeoutMs: 25_000, everyMs: 250 });
    await eventIsTaken();
  }, 90_000);
});
