import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { checkAddress } from './address.js';

describe('the public address', () => {
  let answer: (response: ServerResponse) => void;
  let publicUrl: string;
  const server = createServer((_, response) => answer(response));
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    publicUrl = `http://127.0.0.1:${z.object({ port: z.number() }).parse(server.address()).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  async function look(): Promise<string[]> {
    const simulated = { B24_OAUTH_URL: [publicUrl], B24_ALLOW_HOSTS: ['127.0.0.1'] };
    return (await checkAddress({ PUBLIC_URL: publicUrl, ...simulated })).map(({ text }) => text);
  }

  it('is that of a gateway', async () => {
    answer = (response) => response.end('{"status":"live"}');
    expect(await look()).toEqual([`the gateway answers at ${publicUrl}`]);
  });

  it('that sends without an end is read no further than a gateway writes', async () => {
    let sent = 0;
    let closed: Promise<unknown> | undefined;
    answer = (response) => {
      closed = once(response, 'close');
      const part = Buffer.alloc(65_536, ' ');
      const more = (): void => {
        do sent += part.length;
        while (response.write(part) && sent < 500_000_000);
        if (sent >= 500_000_000) response.end();
      };
      response.on('drain', more);
      more();
    };
    expect(await look()).toEqual([expect.stringMatching(/^something else than a gateway answers/)]);
    await closed;
    expect(sent).toBeLessThan(50_000_000);
  });
});
