import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { failureOf } from '../test/failure.js';
import { Peer } from '../test/peer.js';
import { MemoryTokens } from '../test/token-store.js';
import { webhookTokens } from './access.js';
import { Bitrix24Error } from './errors.js';
import { PortalClient, type PortalClientOptions } from './portal-client.js';

let peer: Peer;
let tokens: MemoryTokens;

beforeEach(async () => {
  peer = await Peer.start();
  tokens = new MemoryTokens(`${peer.url}/rest/`, 'token');
});
afterEach(() => peer.stop());

function client(options: Partial<PortalClientOptions> = {}): PortalClient {
  return new PortalClient({ memberId: 'm1', tokens, ...options });
}

const expired = {
  status: 401,
  body: { error: 'expired_token', error_description: 'The access token expired' },
};

describe('an aborted call', () => {
  it('ends with the reason that its signal gives', async () => {
    peer.answer = () => 'hang';
    const controller = new AbortController();
    const reason = new Error('shutting down');
    const call = client().call('user.get', {}, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 20);

    await expect(call).rejects.toBe(reason);
  });

  it('sends nothing when it was aborted before', async () => {
    await expect(client().call('user.get', {}, { signal: AbortSignal.abort() })).rejects.toThrow('abort');
    expect(peer.heard).toHaveLength(0);
  });
});

describe('an expired token', () => {
  it('is renewed once and the call repeated with the new one', async () => {
    peer.answer = ({ text }) => (text.includes('token-1') ? expired : { body: { result: 'done' } });

    expect(await client().call('user.get')).toEqual({ result: 'done' });
    expect(tokens.renewedFrom).toEqual(['token-1']);
    expect(peer.heard.map(({ text }) => JSON.parse(text) as unknown)).toEqual([
      { auth: 'token-1' },
      { auth: 'token-2' },
    ]);
  });

  it('that is refused again after its renewal is an error', async () => {
    peer.answer = () => expired;

    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'EXPIRED_TOKEN',
      httpStatus: 401,
    });
    expect(tokens.renewedFrom).toEqual(['token-1']);
    expect(peer.heard).toHaveLength(2);
  });

  it.each(['invalid_token', 'NO_AUTH_FOUND'])(
    'is not what %s means: a person has to authorize again',
    async (code) => {
      peer.answer = () => ({ status: 401, body: { error: code } });

      expect(await failureOf(client().call('user.get'))).toMatchObject({ recovery: 'reauthorize' });
      expect(tokens.renewedFrom).toEqual([]);
      expect(peer.heard).toHaveLength(1);
    },
  );

  it('is renewed for no other status than 401', async () => {
    peer.answer = () => ({ status: 403, body: { error: 'expired_token' } });
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'EXPIRED_TOKEN',
      httpStatus: 403,
    });
    expect(tokens.renewedFrom).toEqual([]);
  });

  it('of a webhook is not renewed', async () => {
    peer.answer = () => expired;
    const hook = client({ tokens: webhookTokens(`${peer.url}/rest/1/s3cret/`) });

    expect(await failureOf(hook.call('user.get'))).toMatchObject({ code: 'EXPIRED_TOKEN' });
    expect(peer.heard).toHaveLength(1);
  });

  it('is let out as the error of the store when it cannot be renewed', async () => {
    peer.answer = () => expired;
    const refused = new Bitrix24Error('NOT_INSTALLED', { recovery: 'reauthorize' });
    const store = {
      access: () => tokens.access(),
      renew: () => Promise.reject(refused),
    };

    await expect(client({ tokens: store }).call('user.get')).rejects.toBe(refused);
  });
});

describe('the hook before a request', () => {
  it('is awaited before each request, the repeated one too', async () => {
    const seen: number[] = [];
    peer.answer = ({ text }) => (text.includes('token-1') ? expired : { body: { result: 1 } });
    const held = client({
      beforeRequest: () => {
        seen.push(peer.heard.length);
        return Promise.resolve();
      },
    });

    await held.call('user.get');
    expect(seen).toEqual([0, 1]);
  });

  it('stops the call by throwing', async () => {
    const full = new Error('no room in the bucket');
    await expect(client({ beforeRequest: () => Promise.reject(full) }).call('user.get')).rejects.toBe(full);
    expect(peer.heard).toHaveLength(0);
  });
});
