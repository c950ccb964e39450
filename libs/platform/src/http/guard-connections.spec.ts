import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { eventually } from '../../../../test/support/eventually.js';
import {
  type ConnectionLimits,
  guardConnections,
  serverOptions,
  defaultConnectionLimits,
} from './guard-connections.js';

const limits: ConnectionLimits = {
  requestTimeoutMs: 60_000,
  checkEveryMs: 30_000,
  maxConnections: 5,
  maxPendingBytes: 1_000,
};
const maxBody = 400;

describe('a guarded server', () => {
  let server: Server;
  let port: number;
  const sockets: Socket[] = [];
  /** Complete bodies that are not answered yet. */
  let held: (() => void)[] = [];
  let isHolding = false;

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const answer of held) answer();
    [held, isHolding] = [[], false];
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  async function start(changes: Partial<ConnectionLimits> = {}): Promise<void> {
    const all = { ...limits, ...changes };
    server = createServer(serverOptions(all).http, (asked, response) => {
      text(asked).then(
        (body) => (isHolding ? held.push(() => response.end(body)) : response.end(body)),
        () => undefined,
      );
    });
    guardConnections(server, all, maxBody);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = z.object({ port: z.number() }).parse(server.address()).port;
  }

  function open(head = ''): Socket {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    sockets.push(socket);
    socket.write(head);
    return socket;
  }

  function slowBody(length = 400): Socket {
    return open(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\nabc`);
  }

  async function connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  function post(body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const sent = request({ port, host: '127.0.0.1', method: 'POST' }, (response) => {
        text(response).then(resolve, reject);
      });
      sent.on('error', reject).end(body);
    });
  }

  it('ends a request that is not complete in time, and a connection that sends none', async () => {
    await start({ requestTimeoutMs: 200, checkEveryMs: 50 });
    const [slow, silent] = [slowBody(), open()];
    await Promise.all([once(slow, 'close'), once(silent, 'close')]);
    expect(await connections()).toBe(0);
  });

  it('accepts a request while more slow ones are open than the limit', async () => {
    await start();
    for (let count = 0; count < 20; count += 1) slowBody(1);
    for (let count = 0; count < 10; count += 1) open();
    expect(await post('an event')).toBe('an event');
    await eventually(async () => expect(await connections()).toBeLessThanOrEqual(5));
  });

  it('evicts the oldest incomplete request, and none that is being answered', async () => {
    await start();
    isHolding = true;
    const answer = post('an event');
    await eventually(() => expect(held).toHaveLength(1));
    const slow = Array.from({ length: 6 }, () => slowBody(1));
    await once(slow[0] ?? open(), 'close');
    held[0]?.();
    expect(await answer).toBe('an event');
  });

  it('evicts the oldest when the announced bytes of incomplete bodies exceed the limit', async () => {
    await start({ maxConnections: 100 });
    const slow = [slowBody(), slowBody(), slowBody()];
    await once(slow[0] ?? open(), 'close');
    expect(await connections()).toBe(2);
    const endless = open('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    await once(slow[1] ?? open(), 'close');
    expect(endless.destroyed).toBe(false);
    expect(await post('an event')).toBe('an event');
  });

  it('waits for a request 15 seconds, checks every five, and leaves file descriptors for the rest', () => {
    const { maxConnections, ...times } = defaultConnectionLimits('public');
    const { maxConnections: ofOperators, ...sameTimes } = defaultConnectionLimits('operators');
    expect(sameTimes).toEqual(times);
    expect(ofOperators).toBeLessThan(maxConnections);
    expect(times).toEqual({
      requestTimeoutMs: 15_000,
      checkEveryMs: 5_000,
      maxPendingBytes: 32 * 1024 * 1024,
    });
    expect(maxConnections).toBeGreaterThan(0);
    expect(maxConnections).toBeLessThanOrEqual(1_000);
  });
});
