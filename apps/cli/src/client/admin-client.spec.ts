import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { AdminClient } from './admin-client.js';

const token = 'the-token-of-this-spec';
const run = promisify(execFile);
const BUILT = join(import.meta.dirname, '../../../../dist/apps/cli/src/client/admin-client.js');
const bound = z.object({ port: z.number() });

/** Real: HTTP. Played here: the ops port of a gateway, and what listens at the addresses that it names. */
describe('the admin API, which a gateway on this machine names', () => {
  let gateway: Server;
  let controlPlane: Server;
  let api: AdminClient;
  let named: string[];
  let told: string[];
  let port: number;

  beforeAll(async () => {
    gateway = await listen((_, response) => {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: 'elsewhere', controlPlane: named }));
    });
    controlPlane = await listen((request, response) => {
      told.push(request.headers.authorization ?? '');
      response.end('{"ok":true}');
    }, '::');
    port = portOf(controlPlane);
  });
  beforeEach(() => {
    told = [];
    api = AdminClient.fromEnvironment(true, { OPS_PORT: String(portOf(gateway)), OPS_TOKEN: token });
  });
  afterEach(() => {
    named = [];
  });
  afterAll(() => {
    gateway.close();
    controlPlane.close();
  });

  const ownAddresses = Object.values(networkInterfaces())
    .flatMap((some) => some ?? [])
    .filter(({ scopeid }) => !scopeid)
    .map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address));

  it.each(ownAddresses)('is asked at %s, an address of this machine', async (host) => {
    named = [`http://${host}:${port}`];
    expect(await api.send('GET', '/journal')).toEqual({ ok: true });
    expect(told).toEqual([`Bearer ${token}`]);
  });

  it.each([
    ['a public address', 'http://203.0.113.9:3001'],
    ['one written otherwise', 'http://3405803785:3001'],
    ['a public address of IPv6', 'http://[2001:db8::1]:3001'],
    ['a private one inside IPv6', 'http://[::ffff:203.0.113.9]:3001'],
    ['that of metadata of a cloud', 'http://169.254.169.254'],
    ['a name, which may lead anywhere', 'http://localhost:PORT'],
    ['a name with a certificate', 'https://relay.attacker.example'],
    ['a private address as a user', 'http://10.0.0.1@attacker.example'],
  ])('is not asked at %s, and the token stays', async (_, address) => {
    named = [address.replace('PORT', String(port))];
    await expect(api.send('GET', '/journal')).rejects.toThrow(
      /^OPS_TOKEN is not sent to .*beside the control plane/,
    );
    expect(told).toEqual([]);
  });

  it('is asked at the near one of several, and what the others are called steers no terminal', async () => {
    named = ['http://203.0.113.9:3001', `http://127.0.0.1:${port}`];
    expect(await api.send('GET', '/journal')).toEqual({ ok: true });
    named = ['http://attacker.example/\u001b[2J\u202e'];
    api = AdminClient.fromEnvironment(true, { OPS_PORT: String(portOf(gateway)), OPS_TOKEN: token });
    const error: unknown = await api.send('GET', '/journal').catch((thrown: unknown) => thrown);
    expect(String(error)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it('is asked at the next one where nothing listens', async () => {
    const ended = await listen(() => undefined);
    named = [`http://127.0.0.1:${portOf(ended)}`, `http://127.0.0.1:${port}`];
    await new Promise((resolve) => ended.close(resolve));
    expect(await api.send('POST', '/keys/rotate')).toEqual({ ok: true });
    expect(told).toHaveLength(1);
  });

  it('is not there behind a port that fetch never connects to', async () => {
    named = ['http://127.0.0.1:1', `http://127.0.0.1:${port}`];
    expect(await api.send('POST', '/keys/rotate')).toEqual({ ok: true });
    api = AdminClient.fromEnvironment(true, { OPS_PORT: '1', OPS_TOKEN: token });
    await expect(api.send('POST', '/keys/rotate')).rejects.toThrow(
      'No control plane answers at 127.0.0.1:1:',
    );
  });

  it('does a thing once, and it is said that it may be done, where one is killed in the middle', async () => {
    const killed = await listen((request) => {
      told.push('to the one that is killed');
      request.socket.destroy();
    });
    named = [`http://127.0.0.1:${portOf(killed)}`, `http://127.0.0.1:${port}`];
    await expect(api.send('POST', '/events/1/resend')).rejects.toThrow(
      /broke before it answered.* may be done/,
    );
    expect(told).toEqual(['to the one that is killed']);
    api = AdminClient.fromEnvironment(true, { OPS_PORT: String(portOf(gateway)), OPS_TOKEN: token });
    expect(await api.send('GET', '/journal')).toEqual({ ok: true });
    killed.close();
  });

  it('sends what it is told to no address that an answer leads to', async () => {
    const leading = await listen((_, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${port}/` }).end();
    });
    named = [`http://127.0.0.1:${portOf(leading)}`];
    await expect(api.send('POST', '/portals/webhook', { secret: 's3cret' })).rejects.toThrow('answered 307');
    expect(told).toEqual([]);
    leading.close();
  });

  it('is not asked through a proxy, which Node takes from the environment where it is told to', async () => {
    // What Node does then, in every version.
    const proxy = `globalThis[Symbol.for('undici.globalDispatcher.1')] = { dispatch() { throw new Error('through the proxy') } };`;
    const script = `${proxy} await fetch('http://127.0.0.1:${port}').catch(({ cause }) => console.log(cause.message));
      const { AdminClient } = await import(${JSON.stringify(BUILT)});
      console.log(JSON.stringify(await AdminClient.fromEnvironment(false).send('GET', '/journal')));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, OPS_PORT: String(port), OPS_TOKEN: token },
    });
    expect(stdout.trim().split('\n')).toEqual(['through the proxy', '{"ok":true}']);
    expect(told).toEqual([`Bearer ${token}`]);
  });
});

it('without a token is not asked, and it is said where one is', () => {
  expect(() => AdminClient.fromEnvironment(true, { DATA_DIR: '/nowhere' })).toThrow(
    'Set OPS_TOKEN to the one that the control plane was started with, or DATA_DIR to that of npm start.',
  );
});

async function listen(listener: RequestListener, host = '127.0.0.1'): Promise<Server> {
  const server = createServer(listener);
  server.listen(0, host);
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return bound.parse(server.address()).port;
}
