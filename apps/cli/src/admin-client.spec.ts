import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { networkInterfaces } from 'node:os';
import { z } from 'zod';
import { AdminClient } from './admin-client.js';

const token = 'the-token-of-this-spec';
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
