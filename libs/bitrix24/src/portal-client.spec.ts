import { createServer } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { failureOf } from '../test/failure.js';
import { clientOf, Peer, type Reply } from '../test/peer.js';
import { MemoryTokens } from '../test/token-store.js';
import { webhookTokens } from './rest/access.js';
import { PortalClient, type PortalClientOptions } from './portal-client.js';

let peer: Peer;
let tokens: MemoryTokens;

beforeEach(async () => {
  peer = await Peer.start();
  tokens = new MemoryTokens(`${peer.url}/rest/`, 'token');
});
afterEach(() => peer.stop());

const client = (options: Partial<PortalClientOptions> = {}): PortalClient =>
  clientOf(peer, { tokens, ...options });

function askedMethods(): string[] {
  return peer.received.map(({ path }) => path.replace('/rest/', ''));
}

function blocked(time: object): Reply {
  return { status: 429, body: { error: 'OPERATION_TIME_LIMIT', time } };
}

describe('a call', () => {
  it('posts JSON with the token in the body, not in the address', async () => {
    await client().call('crm.item.get', { entityTypeId: 3, id: 82 });

    expect(peer.received).toHaveLength(1);
    const [received] = peer.received;
    expect(received).toMatchObject({ method: 'POST', path: '/rest/crm.item.get' });
    expect(received?.headers['content-type']).toBe('application/json');
    expect(JSON.parse(received?.text ?? '')).toEqual({ entityTypeId: 3, id: 82, auth: 'token-1' });
  });

  it('of a webhook sends no token', async () => {
    await client({ tokens: webhookTokens(`${peer.url}/rest/1/s3cret`) }).call('crm.item.get', { id: 82 });

    expect(peer.received[0]).toMatchObject({ path: '/rest/1/s3cret/crm.item.get', text: '{"id":82}' });
  });

  it('returns the result, the counts and the times', async () => {
    const time = { start: 1.5, finish: 2, duration: 0.5, operating: 3.3, operating_reset_at: 1778747792 };
    peer.answer = () => ({
      body: { result: ['a'], total: '4', next: 50, time: { ...time, date_start: 'x' } },
    });

    expect(await client().call('crm.item.list')).toEqual({ result: ['a'], total: 4, next: 50, time });
  });

  it.each([null, [], false, 0, ''])('accepts %j as a result', async (result) => {
    peer.answer = () => ({ body: { result } });
    expect(await client().call('app.option.get')).toEqual({ result });
  });

  it('keeps a valid result with invalid extra fields', async () => {
    peer.answer = () => ({ body: { result: true, error: '', total: 'many', time: [] } });
    expect(await client().call('server.time')).toEqual({ result: true });
  });

  it('parses a response that begins with a byte order mark', async () => {
    peer.answer = () => ({ body: '\ufeff{"result":1}' });
    expect(await client().call('server.time')).toEqual({ result: 1 });
  });

  it('reports an error with code, status and recovery', async () => {
    peer.answer = () => ({
      status: 503,
      body: { error: 'query_limit_exceeded', error_description: 'Too many' },
    });

    const error = await failureOf(client().call('crm.item.list'));
    expect(error).toMatchObject({
      code: 'QUERY_LIMIT_EXCEEDED',
      recovery: 'wait',
      httpStatus: 503,
      memberId: 'm1',
      message: 'QUERY_LIMIT_EXCEEDED from crm.item.list (HTTP 503)',
    });
    expect(peer.received).toHaveLength(1);
  });

  it('reports an error with status 200, also a numeric or unnamed one', async () => {
    peer.answer = () => ({ body: { error: 200040300010 } });
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: '200040300010',
      recovery: 'never',
    });

    peer.answer = () => ({ status: 400, body: { error: '', error_description: 'Not found' } });
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'UNNAMED_ERROR',
      recovery: 'never',
    });
  });

  it('reports by the portal’s clock how long a method is blocked', async () => {
    peer.answer = () => blocked({ finish: 1000.5, operating_reset_at: 1042 });
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      recovery: 'wait',
      retryAfterMs: 41_500,
    });

    peer.answer = () => blocked({ finish: 1000, operating_reset_at: 9e12 });
    expect(await failureOf(client().call('user.get'))).toMatchObject({ retryAfterMs: 600_000 });

    peer.answer = () => blocked({ finish: 1000, operating_reset_at: 900 });
    expect(await failureOf(client().call('user.get'))).toMatchObject({ retryAfterMs: 0 });

    peer.answer = () => blocked({});
    expect((await failureOf(client().call('user.get'))).retryAfterMs).toBeUndefined();
  });

  it.each([
    ['a page', 200, '<html>maintenance</html>', 'html', 'retry'],
    ['nothing', 200, '', 'empty', 'retry'],
    ['white space', 200, ' \n', 'empty', 'retry'],
    ['half of its JSON', 200, '{"result":{"items":[', 'cut', 'retry'],
    ['a word', 200, 'OK', 'not-json', 'retry'],
    ['JSON with something behind it', 200, '{"result":1}<br/>{}', 'not-json', 'retry'],
    ['other JSON', 200, '{"ok":true}', 'wrong-shape', 'retry'],
    ['a list', 200, '[]', 'wrong-shape', 'retry'],
    ['what is no UTF-8', 200, Buffer.from('{"result":"\xff"}', 'latin1'), 'not-utf8', 'retry'],
    ['a gateway error page', 502, '\n<!doctype html><html>bad gateway</html>', 'html', 'retry'],
    ['a result with an error status', 500, '{"result":true}', 'wrong-shape', 'retry'],
    ['a page that is not there', 404, '<html>not found</html>', 'html', 'retry'],
    ['a page that asks for a name', 401, '<html>log in</html>', 'html', 'retry'],
    ['a page that forbids', 403, '<html>forbidden</html>', 'html', 'retry'],
    ['a page that asks to slow down', 429, 'slow down', 'not-json', 'wait'],
  ])('calls it a bad answer when it gets %s', async (_, status, body, detail, recovery) => {
    peer.answer = () => ({ status, body });
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'BAD_ANSWER',
      httpStatus: status,
      detail,
      recovery,
      message: `BAD_ANSWER (${detail}) from user.get (HTTP ${status})`,
    });
  });

  it('attributes an error of a whole batch to the plan, and that of an item to its access rights', async () => {
    peer.answer = () => ({ status: 403, body: { error: 'ACCESS_DENIED' } });
    expect(await failureOf(client().call('crm.item.get'))).toMatchObject({ recovery: 'never' });
    const batch = client().batch({ a: { method: 'crm.item.get' } });
    expect(await failureOf(batch)).toMatchObject({ code: 'ACCESS_DENIED', recovery: 'wait' });
  });

  describe('that fails with an error of the portal’s plan', () => {
    const denied = { status: 401, body: { error: 'ACCESS_DENIED' } };

    it('checks once with app.info: if that fails, too, it is the plan', async () => {
      peer.answer = () => denied;
      const error = await failureOf(client().call('crm.item.get'));
      expect(error).toMatchObject({ code: 'ACCESS_DENIED', errorClass: 'plan', recovery: 'wait' });
      expect(askedMethods()).toEqual(['crm.item.get', 'app.info']);
    });

    it('checks once for all requests that fail at the same time', async () => {
      const sent = { 'app.info': 0, 'crm.item.get': 0 };
      const one = new PortalClient({ memberId: 'm1', tokens, allowHosts: ['127.0.0.1'] }, async ({ url }) => {
        const isLook = url.pathname.endsWith('app.info');
        sent[isLook ? 'app.info' : 'crm.item.get'] += 1;
        // All four share the check in flight.
        if (isLook) while (sent['crm.item.get'] < 4) await setImmediate();
        return { ok: true, httpStatus: 401, text: JSON.stringify(denied.body) };
      });
      const calls = Array.from({ length: 4 }, () => failureOf(one.call('crm.item.get')));
      expect((await Promise.all(calls)).map(({ errorClass }) => errorClass)).toEqual(Array(4).fill('plan'));
      expect(sent).toEqual({ 'app.info': 1, 'crm.item.get': 4 });
    });

    it('is transient if the portal answers app.info', async () => {
      peer.answer = ({ path }) => (path.endsWith('app.info') ? { body: { result: {} } } : denied);
      const batch = client().batch({ a: { method: 'crm.item.get' } });
      expect(await failureOf(batch)).toMatchObject({ code: 'ACCESS_DENIED', recovery: 'retry' });
      expect(askedMethods()).toEqual(['batch', 'app.info']);
    });

    it('waits if the check is inconclusive', async () => {
      peer.answer = ({ path }) => (path.endsWith('app.info') ? 'reset' : denied);
      const error = await failureOf(client().call('crm.item.get'));
      expect(error).toMatchObject({ errorClass: 'unavailable', recovery: 'wait' });
    });

    it('checks a webhook with a method that a webhook may call', async () => {
      peer.answer = () => denied;
      const webhook = webhookTokens(`${peer.url}/rest/1/s3cret/`);
      const error = await failureOf(client({ tokens: webhook }).call('crm.item.get'));
      expect(error).toMatchObject({ errorClass: 'plan' });
      expect(peer.received.at(-1)?.path).toBe('/rest/1/s3cret/scope');
    });
  });

  it.each([301, 302, 307, 308])('does not follow a redirect with status %i', async (status) => {
    peer.answer = () => ({ status, headers: { location: `${peer.url}/elsewhere/` } });

    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'REDIRECT',
      httpStatus: status,
    });
    expect(peer.received.map(({ path }) => path)).toEqual(['/rest/user.get']);
  });

  it('reads no more than the limit', async () => {
    peer.answer = () => ({ body: { result: 'x'.repeat(5_000_000) } });
    expect(await failureOf(client({ maxResponseBytes: 100_000 }).call('user.get'))).toMatchObject({
      code: 'BAD_ANSWER',
      detail: 'too-long',
      recovery: 'never',
    });
    expect(peer.received).toHaveLength(1);
  });

  it('reads less of one call, but never more than of the others', async () => {
    peer.answer = () => ({ body: { result: 'x'.repeat(50_000) } });
    const tooLong = { code: 'BAD_ANSWER', detail: 'too-long' };
    expect(await failureOf(client().call('user.get', {}, { maxResponseBytes: 10_000 }))).toMatchObject(
      tooLong,
    );
    const commands = { user: { method: 'user.get' } };
    expect(await failureOf(client().batch(commands, { maxResponseBytes: 10_000 }))).toMatchObject(tooLong);
    const bounded = client({ maxResponseBytes: 20_000 });
    expect(await failureOf(bounded.call('user.get', {}, { maxResponseBytes: 100_000 }))).toMatchObject(
      tooLong,
    );
    expect(await client().call('user.get')).toMatchObject({ result: 'x'.repeat(50_000) });
  });

  it('times out without a response', async () => {
    peer.answer = () => 'hang';
    expect(await failureOf(client({ timeoutMs: 50 }).call('user.get'))).toMatchObject({
      code: 'TIMEOUT',
      recovery: 'retry',
    });
  });

  it('distinguishes a connection lost before the response from one lost during it', async () => {
    peer.answer = () => 'reset';
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'TRANSPORT',
      recovery: 'retry',
      delivered: 'unknown',
    });

    peer.answer = () => 'cut';
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'BAD_ANSWER',
      recovery: 'retry',
      delivered: 'yes',
      message: 'BAD_ANSWER (cut) from user.get (HTTP 200)',
    });
  });

  it('reports an unreachable portal with the system’s error code', async () => {
    await peer.stop();
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'TRANSPORT',
      cause: 'ECONNREFUSED',
      delivered: 'no',
      recovery: 'wait',
    });
    peer = await Peer.start();
  });

  it('survives a server that does not speak HTTP', async () => {
    const babbler = createServer((socket) => socket.resume().end('s3cret 200 OK s3cret\r\n\r\n'));
    await new Promise<void>((resolve) => babbler.listen(0, '127.0.0.1', resolve));
    const address = babbler.address();
    const port = typeof address === 'object' ? address?.port : undefined;

    const odd = client({ tokens: webhookTokens(`http://127.0.0.1:${port}/rest/1/s3cret/`) });
    const error = await failureOf(odd.call('user.get'));
    expect(error.code).toBe('TRANSPORT');
    expect(inspect(error)).not.toContain('s3cret');
    await new Promise((resolve) => babbler.close(resolve));
  });

  it('does not quote a stored address that is not a URL', async () => {
    const error = await failureOf(
      client({ tokens: webhookTokens('no url/rest/1/s3cret/') }).call('user.get'),
    );
    expect(error).toMatchObject({ code: 'BAD_ENDPOINT', recovery: 'never' });
    expect(inspect(error)).not.toContain('s3cret');
  });

  it.each(['http://127.0.0.1:1/rest/', 'https://10.0.0.1/rest/', 'http://portal.bitrix24.com/rest/'])(
    'does not send its token to %s, which the operator has not allowed',
    async (endpoint) => {
      const stray = new MemoryTokens(endpoint, 'token');
      expect(await failureOf(client({ tokens: stray, allowHosts: [] }).call('user.get'))).toMatchObject({
        code: 'BAD_ADDRESS',
        recovery: 'wait',
        delivered: 'no',
      });
    },
  );

  it.each(['', '../oauth', 'user.get?a=1', 'a/b', 'user..get', 'https://x'])(
    'rejects %j as the name of a method',
    async (method) => {
      await expect(client().call(method)).rejects.toThrow(TypeError);
      expect(peer.received).toHaveLength(0);
    },
  );
});
