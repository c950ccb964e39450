import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { failureOf } from '../test/failure.js';
import { clientOf, Peer, type Reply } from '../test/peer.js';
import { MemoryTokens } from '../test/token-store.js';
import { type PortalAccess, type TokenStore, webhookTokens } from './rest/access.js';
import { Bitrix24Error } from './rest/errors.js';
import type { PortalClient, PortalClientOptions } from './portal-client.js';

let peer: Peer;
let tokens: MemoryTokens;

beforeEach(async () => {
  peer = await Peer.start();
  tokens = new MemoryTokens(`${peer.url}/rest/`, 'token');
});
afterEach(() => peer.stop());

const client = (options: Partial<PortalClientOptions> = {}): PortalClient =>
  clientOf(peer, { tokens, ...options });

const expired = {
  status: 401,
  body: { error: 'expired_token', error_description: 'The access token expired' },
};

describe('an aborted call', () => {
  it('ends with the reason of its signal', async () => {
    peer.answer = () => 'hang';
    const controller = new AbortController();
    const reason = new Error('shutting down');
    const call = client().call('user.get', {}, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 20);

    await expect(call).rejects.toBe(reason);
  });

  it('sends nothing when it was aborted before', async () => {
    await expect(client().call('user.get', {}, { signal: AbortSignal.abort() })).rejects.toThrow('abort');
    expect(peer.received).toHaveLength(0);
  });
});

describe('an expired token', () => {
  it('is refreshed once and the call retried with the new one', async () => {
    peer.answer = ({ text }) => (text.includes('token-1') ? expired : { body: { result: 'done' } });

    expect(await client().call('user.get')).toEqual({ result: 'done' });
    expect(tokens.refreshedFrom).toEqual(['token-1']);
    expect(peer.received.map(({ text }) => JSON.parse(text) as unknown)).toEqual([
      { auth: 'token-1' },
      { auth: 'token-2' },
    ]);
  });

  it('that is rejected again after the refresh is an error', async () => {
    peer.answer = () => expired;

    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'EXPIRED_TOKEN',
      httpStatus: 401,
    });
    expect(tokens.refreshedFrom).toEqual(['token-1']);
    expect(peer.received).toHaveLength(2);
  });

  it.each(['invalid_token', 'NO_AUTH_FOUND'])(
    'is not what %s means: a person has to authorize again',
    async (code) => {
      peer.answer = () => ({ status: 401, body: { error: code } });

      expect(await failureOf(client().call('user.get'))).toMatchObject({ recovery: 'reauthorize' });
      expect(tokens.refreshedFrom).toEqual([]);
      expect(peer.received).toHaveLength(1);
    },
  );

  it('is refreshed for no other status than 401', async () => {
    peer.answer = () => ({ status: 403, body: { error: 'expired_token' } });
    expect(await failureOf(client().call('user.get'))).toMatchObject({
      code: 'EXPIRED_TOKEN',
      httpStatus: 403,
    });
    expect(tokens.refreshedFrom).toEqual([]);
  });

  it('of a webhook is not refreshed', async () => {
    peer.answer = () => expired;
    const hook = client({ tokens: webhookTokens(`${peer.url}/rest/1/s3cret/`) });

    expect(await failureOf(hook.call('user.get'))).toMatchObject({ code: 'EXPIRED_TOKEN' });
    expect(peer.received).toHaveLength(1);
  });

  it('fails with the error of the token store if it cannot be refreshed', async () => {
    peer.answer = () => expired;
    const rejected = new Bitrix24Error('NOT_INSTALLED', { recovery: 'reauthorize' });
    const store = {
      access: () => tokens.access(),
      refresh: () => Promise.reject(rejected),
    };

    await expect(client({ tokens: store }).call('user.get')).rejects.toBe(rejected);
  });
});

function replaced(latest: string): TokenStore & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    access: () => tokens.access(),
    refresh: (stale) => tokens.refresh(stale),
    latest(rejected) {
      asked.push(rejected);
      return Promise.resolve({ kind: 'oauth', endpoint: tokens.endpoint, accessToken: latest });
    },
  };
}

function sentTokens(): unknown[] {
  return peer.received.map(({ text }) => z.object({ auth: z.string() }).parse(JSON.parse(text)).auth);
}

describe('a token that was replaced during a request', () => {
  /** The token that the portal accepts. */
  const good = 'token-7';
  it.each(['NO_AUTH_FOUND', 'invalid_token', 'authorization_error', 'ERROR_OAUTH', 'SOMETHING_NEW'])(
    'causes no wait: after %s the call is sent at once with its successor',
    async (code) => {
      peer.answer = ({ text }) =>
        text.includes(good) ? { body: { result: 'done' } } : { status: 401, body: { error: code } };
      const store = replaced(good);
      expect(await client({ tokens: store }).call('crm.item.add')).toEqual({ result: 'done' });
      expect(sentTokens()).toEqual(['token-1', good]);
      expect(store.asked).toEqual(['token-1']);
      expect(tokens.refreshedFrom).toEqual([]);
    },
  );

  it('is reread once: a rejection of its successor is the error', async () => {
    peer.answer = () => ({ status: 401, body: { error: 'NO_AUTH_FOUND' } });
    const store = replaced('token-6');
    const error = await failureOf(client({ tokens: store }).call('user.get'));
    expect(error).toMatchObject({ code: 'NO_AUTH_FOUND', recovery: 'reauthorize' });
    expect(sentTokens()).toEqual(['token-1', 'token-6']);
    expect(store.asked).toEqual(['token-1']);
  });
});

function relocating(to: () => Promise<PortalAccess>): TokenStore & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    access: () => tokens.access(),
    refresh: (stale) => tokens.refresh(stale),
    relocate(staleEndpoint) {
      asked.push(staleEndpoint);
      return to();
    },
  };
}

describe('a renamed portal', () => {
  /** The redirect's address belongs to an attacker; the one that the store confirms is the portal's. */
  let renamed: Peer;
  const moved = (): Reply => ({ status: 302, headers: { location: `${renamed.url}/rest/stolen/` } });

  beforeEach(async () => {
    renamed = await Peer.start();
    peer.answer = moved;
  });
  afterEach(() => renamed.stop());

  it('gets the same POST at the confirmed address, for any redirect target', async () => {
    const elsewhere = await Peer.start();
    const endpoint = `${elsewhere.url}/rest/`;
    const store = relocating(() => Promise.resolve({ kind: 'oauth', endpoint, accessToken: 'token-9' }));

    expect(await client({ tokens: store }).call('crm.item.add', { title: 'a' })).toEqual({ result: true });
    expect(store.asked).toEqual([`${peer.url}/rest/`]);
    expect(elsewhere.received).toHaveLength(1);
    expect(elsewhere.received[0]).toMatchObject({ method: 'POST', path: '/rest/crm.item.add' });
    expect(JSON.parse(elsewhere.received[0]?.text ?? '')).toEqual({ title: 'a', auth: 'token-9' });
    expect(renamed.received).toHaveLength(0);
    await elsewhere.stop();
  });

  it('that responds with a redirect there, too, is an error', async () => {
    const store = relocating(() => tokens.access());
    expect(await failureOf(client({ tokens: store }).call('user.get'))).toMatchObject({
      code: 'REDIRECT',
      httpStatus: 302,
      recovery: 'reauthorize',
    });
    expect(store.asked).toHaveLength(1);
    expect(peer.received).toHaveLength(2);
  });

  it('fails with the error of the store if no address is confirmed', async () => {
    const unconfirmed = new Bitrix24Error('REDIRECT', { memberId: 'm1' });
    const store = relocating(() => Promise.reject(unconfirmed));

    await expect(client({ tokens: store }).call('user.get')).rejects.toBe(unconfirmed);
    expect(unconfirmed.recovery).toBe('reauthorize');
  });

  it('whose token has expired as well gets both a new address and a new token', async () => {
    const answers = [moved(), expired];
    peer.answer = (_, count) => answers[count - 1] ?? { body: { result: 'done' } };
    const store = relocating(() => tokens.access());

    expect(await client({ tokens: store }).call('user.get')).toEqual({ result: 'done' });
    expect(tokens.refreshedFrom).toEqual(['token-1']);
  });
});
