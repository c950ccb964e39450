import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.mjs';

const run = promisify(execFile);
const claims = 200;

/** Takes many ports at once, keeps them until its standard input ends, as a test's process does until it ends. */
const taker = `
  const { freePort } = await import(process.argv[1]);
  const ports = await Promise.all(Array.from({ length: ${claims} }, freePort));
  process.stdout.end(JSON.stringify(ports));
  process.stdin.resume();
`;

describe('the choice of a port', () => {
  it('never gives the same one twice, to whatever process', async () => {
    const script = join(import.meta.dirname, 'free-port.mjs');
    const args = ['--input-type=module', '--eval', taker, script];
    const takers = Array.from({ length: 4 }, () => run(process.execPath, args));
    const own = await Promise.all(Array.from({ length: claims }, freePort));
    const others = await Promise.all(takers.map(({ child }) => printed(child)));
    for (const { child } of takers) child.stdin?.end();
    await Promise.all(takers);
    const all = [...own, ...others.flatMap((text) => parsed(text))];
    expect(all).toHaveLength(5 * claims);
    expect(new Set(all).size).toBe(5 * claims);
  }, 120_000);

  it('gives none that the system hands out by itself', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const handedOut = address === null || typeof address === 'string' ? 0 : address.port;
    server.close();
    expect(await freePort()).toBeLessThan(handedOut);
  });

  it('gives one that a program can listen on, on every address', async () => {
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const server = createServer().listen(await freePort(), host);
      await once(server, 'listening');
      expect(server.listening).toBe(true);
      server.close();
    }
  });

  it('keeps its claim', async () => {
    const other = createSocket('udp4').bind({
      port: await freePort(),
      address: '127.0.0.1',
      exclusive: true,
    });
    const [error] = await once(other, 'error');
    expect(error).toMatchObject({ code: 'EADDRINUSE' });
  });
});

async function printed(child: { stdout: NodeJS.ReadableStream | null }): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout ?? []) text += String(chunk);
  return text;
}

function parsed(text: string): number[] {
  const ports: unknown = JSON.parse(text);
  return Array.isArray(ports) ? ports.map(Number) : [];
}
