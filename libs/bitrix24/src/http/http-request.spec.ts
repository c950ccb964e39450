import { createServer as createTcpServer, type LookupFunction, type Server } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Peer } from '../../test/peer.js';
import { createHttpAgents, type HttpResult, post, type PostRequest } from './http-request.js';
import { readResponse } from './response-reader.js';

let peer: Peer;
beforeEach(async () => {
  peer = await Peer.start();
});
afterEach(() => peer.stop());

function request(changes: Partial<PostRequest> = {}): PostRequest {
  return {
    url: new URL(`${peer.url}/rest/user.get`),
    contentType: 'application/json',
    body: '{}',
    timeoutMs: 10_000,
    maxResponseBytes: 1_000_000,
    allowHosts: [peer.host],
    ...changes,
  };
}

/** Resolves every name to these addresses. */
function resolver(...addresses: string[]): LookupFunction & { asked: string[] } {
  const asked: string[] = [];
  const lookup: LookupFunction = (hostname, _, callback) => {
    asked.push(hostname);
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    process.nextTick(callback, null, found);
  };
  return Object.assign(lookup, { asked });
}

const noSuchName: LookupFunction = (_, __, callback) =>
  callback(Object.assign(new Error('no s3cret.example'), { code: 'ENOTFOUND' }), []);

describe('where a connection goes', () => {
  let listener: Server;
  let connections: number;
  let port: number;

  beforeEach(async () => {
    connections = 0;
    listener = createTcpServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const address = listener.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  afterEach(() => new Promise((resolve) => listener.close(resolve)));

  const rejected: HttpResult = { ok: false, code: 'BAD_ADDRESS', delivered: 'no' };

  it.each([
    ['127.0.0.1'],
    ['::1'],
    ['::ffff:127.0.0.1'],
    ['169.254.169.254'],
    ['10.0.0.1', 'fd00::1'],
    ['fe80::1%eth0'],
    ['not an address'],
  ])('is not to where a public name has come to lead: %s', async (...addresses) => {
    const lookup = resolver(...addresses);
    const url = new URL(`https://portal.bitrix24.example:${port}/rest/user.get`);

    expect(await post(request({ url }), createHttpAgents({ lookup }))).toEqual(rejected);
    expect(lookup.asked).toEqual(['portal.bitrix24.example']);
    expect(connections).toBe(0);
  });

  it('is only to the public addresses of a name', async () => {
    // No server listens at the public address: the private one must not be tried instead.
    const lookup = resolver('127.0.0.1', '192.0.2.1');
    const url = new URL(`https://portal.bitrix24.example:${port}/rest/user.get`);

    const result = await post(request({ url }), createHttpAgents({ lookup, connectTimeoutMs: 200 }));
    expect(result).toMatchObject({ code: 'TRANSPORT', delivered: 'no' });
    expect(connections).toBe(0);
  });

  it.each([
    'https://127.0.0.1',
    'https://[::1]',
    'https://0x7f.1',
    'https://localhost',
    'http://93.184.216.34',
  ])('is rejected before any look-up for %s', async (origin) => {
    const lookup = resolver('93.184.216.34');
    const url = new URL(`${origin}:${port}/rest/user.get`);

    expect(await post(request({ url }), createHttpAgents({ lookup }))).toEqual(rejected);
    expect(lookup.asked).toEqual([]);
    expect(connections).toBe(0);
  });

  it('is checked for each connection, also after a valid look-up', async () => {
    const answers = ['192.0.2.1', '127.0.0.1'];
    const lookup: LookupFunction = (_, options, callback) =>
      resolver(answers.shift() ?? '')('', options, callback);
    const lines = createHttpAgents({ lookup, connectTimeoutMs: 200 });
    const url = new URL(`https://portal.bitrix24.example:${port}/rest/user.get`);

    expect(await post(request({ url }), lines)).toMatchObject({ code: 'TRANSPORT', delivered: 'no' });
    expect(await post(request({ url }), lines)).toEqual(rejected);
    expect(connections).toBe(0);
  });

  it('is not to a literal private address, which is never looked up', async () => {
    const { ssrfGuarded } = createHttpAgents();
    for (const origin of [`http://127.0.0.1:${port}`, `http://[::1]:${port}`]) {
      const sent = { origin, path: '/', method: 'POST' } as const;
      const reception = await readResponse(ssrfGuarded, sent, { timeoutMs: 10_000, maxBytes: 1 });
      expect(reception).toMatchObject({ kind: 'failed', sent: false, error: { code: 'BAD_ADDRESS' } });
    }
    expect(connections).toBe(0);
  });

  it('is unrestricted for an allowed host, on its port only', async () => {
    expect(await post(request())).toMatchObject({ ok: true });
    const url = new URL(`http://127.0.0.1:${port}/rest/user.get`);
    expect(await post(request({ url }))).toEqual(rejected);
    expect(connections).toBe(0);
  });
});

describe('a request', () => {
  it('names the client, or what the caller says, and keeps its own headers', async () => {
    await post(request());
    await post({ ...request(), headers: { 'user-agent': 'shop/1.0', 'x-id': '7', accept: 'text/html' } });
    expect(peer.received.map(({ headers }) => headers['user-agent'])).toEqual([
      'bitrix24-rest-client',
      'shop/1.0',
    ]);
    expect(peer.received[1]?.headers).toMatchObject({ 'x-id': '7', accept: 'application/json' });
  });

  it('is certainly not delivered when no server listens', async () => {
    const late = request();
    await peer.stop();
    expect(await post(late)).toMatchObject({
      code: 'TRANSPORT',
      delivered: 'no',
      cause: 'ECONNREFUSED',
    });
    peer = await Peer.start();
  });

  it('is certainly not delivered when the name does not resolve', async () => {
    const url = new URL('https://portal.bitrix24.example/rest/user.get');
    expect(await post(request({ url }), createHttpAgents({ lookup: noSuchName }))).toEqual({
      ok: false,
      code: 'TRANSPORT',
      delivered: 'no',
      cause: 'ENOTFOUND',
    });
  });

  it('is certainly not delivered when TLS fails', async () => {
    const url = new URL(`https://${peer.host}/rest/user.get`);
    expect(await post(request({ url }))).toMatchObject({ code: 'TRANSPORT', delivered: 'no' });
    expect(peer.received).toHaveLength(0);
  });

  it('is unknown when the connection broke, or the request timed out, after it was sent', async () => {
    peer.answer = () => 'reset';
    expect(await post(request())).toMatchObject({ code: 'TRANSPORT', delivered: 'unknown' });
    peer.answer = () => 'hang';
    expect(await post(request({ timeoutMs: 100 }))).toMatchObject({ code: 'TIMEOUT', delivered: 'unknown' });
  });

  it('is delivered when there is any response', async () => {
    peer.answer = () => 'cut';
    expect(await post(request())).toMatchObject({ code: 'BAD_ANSWER', detail: 'cut', delivered: 'yes' });
    peer.answer = () => ({ status: 302, headers: { location: 'https://portal.example/' } });
    expect(await post(request())).toMatchObject({ code: 'REDIRECT', delivered: 'yes' });
  });
});

describe('a response', () => {
  const packed = { 'content-encoding': 'gzip' };

  it('may be compressed', async () => {
    peer.answer = () => ({ headers: packed, body: gzipSync('{"result":"ä"}') });
    expect(await post(request())).toEqual({ ok: true, httpStatus: 200, text: '{"result":"ä"}' });
    expect(peer.received[0]?.headers['accept-encoding']).toBe('gzip');
  });

  it('is not decompressed beyond the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    expect(bomb.byteLength).toBeLessThan(100_000);
    peer.answer = () => ({ headers: packed, body: bomb });
    expect(await post(request({ maxResponseBytes: 100_000 }))).toMatchObject({
      code: 'BAD_ANSWER',
      detail: 'too-long',
    });
  });

  it.each([
    ['cut', packed, gzipSync('{"result":true}').subarray(0, -9)],
    ['bad-encoding', packed, Buffer.from('{"result":true}')],
    ['bad-encoding', { 'content-encoding': 'br' }, Buffer.from('{"result":true}')],
  ])('that is packed badly is %s', async (detail, headers, body) => {
    peer.answer = () => ({ headers, body });
    expect(await post(request())).toMatchObject({ code: 'BAD_ANSWER', detail });
  });

  it('leaves its connection to later requests', async () => {
    for (let count = 0; count < 6; count += 1) await post(request());
    // An immediate request finds the connection still busy with the end of the previous response.
    expect(peer.connections).toBeLessThanOrEqual(2);
  });
});

describe('an aborted request', () => {
  it('rejects with the reason, and closes the connection', async () => {
    peer.answer = () => 'hang';
    const controller = new AbortController();
    const reason = new Error('shutting down');
    const asked = post(request({ signal: controller.signal }));
    await peer.hears(1);
    controller.abort(reason);

    await expect(asked).rejects.toBe(reason);
    await peer.loses(1);
  });
});
