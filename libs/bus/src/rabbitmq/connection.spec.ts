import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { connect as connectTcp, createServer, Socket } from 'node:net';
import { z } from 'zod';
import { freshVhost, hasBroker, type TestVhost } from '../../../../test/support/broker.js';
import { closeQuietly, connect } from './connection.js';

(hasBroker ? describe : describe.skip)('a connection to RabbitMQ', () => {
  let vhost: TestVhost;
  beforeAll(async () => {
    vhost = await freshVhost();
  });
  afterAll(() => vhost.drop());

  it('sends everything published in one event-loop iteration with few system calls', async () => {
    const messages = 2_000;
    const connection = await connect(
      vhost.url,
      'test',
      () => undefined,
      async (made) => made,
    );
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const calls = [jest.spyOn(Socket.prototype, '_write'), jest.spyOn(Socket.prototype, '_writev')];
    for (let n = 0; n < messages; n += 1) channel.sendToQueue(queue, Buffer.from(`message ${n}`));
    await channel.waitForConfirms();
    expect(calls.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBeLessThan(messages / 20);
    jest.restoreAllMocks();
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: messages });
    await closeQuietly(connection, channel);
  });

  it('reports its end when the broker closes it', async () => {
    const accepted: Socket[] = [];
    const proxy = createServer({ allowHalfOpen: true }, (inner) => {
      const { hostname, port: brokerPort } = new URL(vhost.url);
      const outer = connectTcp(Number(brokerPort || 5672), hostname);
      for (const socket of [inner, outer]) socket.on('error', () => undefined);
      inner.pipe(outer).pipe(inner, { end: false });
      accepted.push(inner);
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const { port } = z.object({ port: z.number() }).parse(proxy.address());
    const url = new URL(vhost.url);
    url.host = `127.0.0.1:${port}`;
    const ended = new Promise<Error>((resolve) => {
      void connect(url.href, 'test', resolve, async (made) => made).then(() => accepted[0]?.end());
    });
    expect((await ended).message).toBe('Unexpected close');
    proxy.close();
  });
});
