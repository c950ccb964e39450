import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Peer } from '../../test/peer.js';
import { OAuthError, OAuthServer } from './oauth-server.js';

let peer: Peer;
beforeEach(async () => {
  peer = await Peer.start();
});
afterEach(() => peer.stop());

function server(options: { allowHosts?: string[]; timeoutMs?: number } = {}): OAuthServer {
  return new OAuthServer({ url: peer.url, clientId: 'app.1', clientSecret: 'cl1ent-s3cret', ...options });
}

/** `settings/oauth/auto-renewal.md`. */
const granted = {
  access_token: 'acc3ss-new',
  refresh_token: 'r3fresh-new',
  expires: 1_800_000_000,
  expires_in: 3600,
  client_endpoint: 'https://portal.bitrix24.com/rest/',
  server_endpoint: 'https://oauth.bitrix.info/rest/',
  domain: 'oauth.bitrix.info',
  member_id: 'a223c6b3710f85df22e9377d6c4f7553',
  scope: 'crm,entity,im',
  status: 'F',
  user_id: 67,
};

async function rejectionOf(promise: Promise<unknown>): Promise<OAuthError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof OAuthError)) throw new Error(`no OAuthError but ${inspect(error)}`);
  for (const secret of ['cl1ent-s3cret', 'r3fresh-old', 'acc3ss-new', 'r3fresh-new']) {
    expect(inspect(error, { showHidden: true })).not.toContain(secret);
  }
  return error;
}

describe('the OAuth server', () => {
  it('gets a POST form, without a secret in the URL', async () => {
    peer.answer = () => ({ body: granted });
    await server().refresh('r3fresh-old');

    expect(peer.received).toHaveLength(1);
    expect(peer.received[0]).toMatchObject({ method: 'POST', path: '/oauth/token/' });
    expect(peer.received[0]?.headers['content-type']).toBe('application/x-www-form-urlencoded');
    expect(Object.fromEntries(new URLSearchParams(peer.received[0]?.text))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'app.1',
      client_secret: 'cl1ent-s3cret',
      refresh_token: 'r3fresh-old',
    });
  });

  it('grants a pair for a portal; its own domain is not used as the portal’s', async () => {
    peer.answer = () => ({ body: granted });
    const before = Date.now();
    const grant = await server().refresh('r3fresh-old');

    expect(grant).toEqual({
      memberId: granted.member_id,
      clientEndpoint: 'https://portal.bitrix24.com/rest/',
      oauthHost: 'oauth.bitrix.info',
      accessToken: 'acc3ss-new',
      refreshToken: 'r3fresh-new',
      expiresAt: grant.expiresAt,
      scope: ['crm', 'entity', 'im'],
      status: 'F',
    });
    expect(grant.expiresAt - before).toBeGreaterThanOrEqual(3_600_000);
    expect(grant.expiresAt - Date.now()).toBeLessThanOrEqual(3_600_000);
  });

  it.each([1e300, -1, 'soon', null])('is not trusted with the token lifetime %p', async (expires_in) => {
    peer.answer = () => ({ body: { ...granted, expires_in } });
    const { expiresAt } = await server().refresh('r3fresh-old');
    expect(expiresAt - Date.now()).toBeLessThanOrEqual(3_600_000);
    expect(expiresAt - Date.now()).toBeGreaterThan(3_500_000);
  });

  it('may omit fields that calls do not need', async () => {
    const { access_token, refresh_token, client_endpoint, member_id } = granted;
    peer.answer = () => ({ body: { access_token, refresh_token, client_endpoint, member_id } });
    expect(await server().refresh('r3fresh-old')).toMatchObject({ scope: [], status: '' });
  });

  it.each([
    ['invalid_grant', 400, 'reauthorize'],
    ['INVALID_GRANT', 400, 'reauthorize'],
    ['PAYMENT_REQUIRED', 402, 'wait'],
    ['invalid_client', 401, 'wait'],
    ['wrong_client', 200, 'wait'],
    ['invalid_request', 400, 'wait'],
    ['something_new', 400, 'wait'],
  ])('rejects with %s (status %i)', async (code, status, recovery) => {
    peer.answer = () => ({ status, body: { error: code, error_description: 'r3fresh-old is no good' } });
    const error = await rejectionOf(server().refresh('r3fresh-old'));
    expect(error).toMatchObject({ unreachable: false, recovery });
    expect(error.code.toUpperCase()).toBe(code.toUpperCase());
  });

  it('spells known error codes as documented', async () => {
    peer.answer = () => ({ status: 400, body: { error: 'INVALID_Grant' } });
    expect((await rejectionOf(server().refresh('r3fresh-old'))).code).toBe('invalid_grant');
  });

  it.each(['access_token', 'refresh_token', 'member_id', 'client_endpoint'])(
    'counts as unreachable if %s is missing',
    async (name) => {
      for (const value of [undefined, '', null, {}]) {
        peer.answer = () => ({ body: { ...granted, [name]: value } });
        expect(await rejectionOf(server().refresh('r3fresh-old'))).toMatchObject({
          code: 'BAD_ANSWER',
          unreachable: true,
        });
      }
    },
  );

  it.each([
    ['an error of its own', { status: 500, body: { error: 'internal', error_description: 'x' } }, 'INTERNAL'],
    ['a page', { status: 200, body: '<html>r3fresh-old</html>' }, 'BAD_ANSWER'],
    ['a gateway error', { status: 502, body: '<html></html>' }, 'BAD_ANSWER'],
    ['a request to slow down', { status: 429, body: { error: 'too_many' } }, 'TOO_MANY'],
    ['a redirect', { status: 302, headers: { location: 'https://elsewhere.example/' } }, 'REDIRECT'],
    ['an endless answer', { status: 200, body: 'x'.repeat(200_000) }, 'BAD_ANSWER'],
    ['a broken connection', 'reset' as const, 'TRANSPORT'],
  ])('counts as unreachable after %s', async (_, behaviour, code) => {
    peer.answer = () => behaviour;
    expect(await rejectionOf(server().refresh('r3fresh-old'))).toMatchObject({
      code,
      unreachable: true,
      recovery: 'wait',
    });
  });

  it('counts as unreachable after a timeout', async () => {
    peer.answer = () => 'hang';
    expect(await rejectionOf(server({ timeoutMs: 50 }).refresh('r3fresh-old'))).toMatchObject({
      code: 'TIMEOUT',
      unreachable: true,
    });
  });

  it.each([
    'http://portal.bitrix24.com/rest/',
    'https://10.0.0.1/rest/',
    'https://u:p@portal.bitrix24.com/',
    'x',
  ])(
    'is not believed when it names %s as a portal, but its tokens are not thrown away',
    async (client_endpoint) => {
      peer.answer = () => ({ body: { ...granted, client_endpoint } });
      expect(await server().refresh('r3fresh-old')).toMatchObject({
        clientEndpoint: undefined,
        accessToken: granted.access_token,
        refreshToken: granted.refresh_token,
      });
    },
  );

  it('may name a private portal if its host is allowed', async () => {
    peer.answer = () => ({ body: { ...granted, client_endpoint: 'http://10.0.0.1:8080/rest' } });
    expect(await server({ allowHosts: ['10.0.0.1:8080'] }).refresh('r3fresh-old')).toMatchObject({
      clientEndpoint: 'http://10.0.0.1:8080/rest/',
    });
  });

  it('is aborted by the signal', async () => {
    peer.answer = () => 'hang';
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('shutting down')), 20);
    await expect(server().refresh('r3fresh-old', controller.signal)).rejects.toThrow('shutting down');
  });
});
