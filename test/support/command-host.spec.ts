import { expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { z } from 'zod';
import { eventually } from './eventually.js';
import { runCommand, startCommand, type Ended } from './command-host.js';

const hosts = () => (globalThis.idleCommandHosts ?? []).map(({ pid }) => pid);

interface Example {
  args: string[];
  env?: Record<string, string>;
  input?: string;
}

it.each<Example>([
  { args: [] },
  { args: ['--version'] },
  { args: ['portals', '--help'] },
  { args: ['quues'] },
  { args: ['completion', 'bash', '--json'] },
  { args: ['portals', 'remove', 'acme'], env: { OPS_TOKEN: 'x'.repeat(16), OPS_PORT: '1' } },
  { args: ['portals'], env: { OPS_TOKEN: 'x'.repeat(16), OPS_PORT: '1' } },
  { args: ['portals', 'webhook'], env: { OPS_TOKEN: 'x'.repeat(16), OPS_PORT: '1' }, input: 'one\ntwo\n' },
  { args: ['portals'], env: { DATA_DIR: '/nowhere' } },
  {
    args: ['init', '--file', '/nowhere/.env', '--url', 'https://relay.example.com'],
    input: 'local.1\nsecret\n',
  },
])('$args ends in a process that it shares as in one of its own', async ({ args, env = {}, input = '' }) => {
  const alone = startCommand(args, { env, input });
  const ended: Ended = { code: await alone.end(), screen: alone.log() };
  expect(await runCommand(args, { env, input })).toEqual(ended);
  const [host] = hosts();
  expect(await runCommand(args, { env, input })).toEqual(ended);
  expect(hosts()).toEqual([host]);
});

it('knows nothing of the command before', async () => {
  const args = ['init', '--print', '--json', '--url', 'https://relay.example.com', '--client-id', 'local.1'];
  const first = await runCommand(args, { env: { B24_CLIENT_SECRET: 'first' } });
  const second = await runCommand(args, { env: {}, input: 'second\n' });
  expect(JSON.parse(first.screen)).toMatchObject({ B24_CLIENT_SECRET: 'first' });
  expect(JSON.parse(second.screen)).toMatchObject({ B24_CLIENT_SECRET: 'second' });
});

it('leaves no connection, and its process to the next command', async () => {
  let connections = 0;
  const server = createServer((_, response) => response.writeHead(503).end('{"error":"later"}'));
  server.keepAliveTimeout = 0;
  server.on('connection', (socket) => {
    connections += 1;
    socket.on('close', () => (connections -= 1));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = z.object({ port: z.number() }).parse(server.address());
  const env = { OPS_TOKEN: 'x'.repeat(16), OPS_PORT: String(port) };
  const asked = { code: 1, screen: 'relay: later\n' };
  expect(await runCommand(['portals'], { env })).toEqual(asked);
  const used = hosts();
  expect(used).toHaveLength(1);
  await eventually(() => expect(connections).toBe(0));
  expect(await runCommand(['portals'], { env })).toEqual(asked);
  expect(hosts()).toEqual(used);
  server.close();
});

it('runs beside another command', async () => {
  const both = await Promise.all(['--version', '--help'].map((arg) => runCommand([arg], { env: {} })));
  expect(both).toEqual([
    { code: 0, screen: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) },
    { code: 0, screen: expect.stringContaining('Usage: relay') },
  ]);
});

it('runs in another process where that of the last one has ended', async () => {
  await runCommand(['--version'], { env: {} });
  const [pid = 0] = hosts();
  process.kill(pid, 'SIGKILL');
  await eventually(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'));
  expect(await runCommand(['--version'], { env: {} })).toMatchObject({ code: 0 });
  expect(hosts()).not.toContain(pid);
});
