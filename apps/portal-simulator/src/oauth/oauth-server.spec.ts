import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestSimulator } from '../../test/support.js';

let b24: TestSimulator;

beforeAll(async () => {
  b24 = await TestSimulator.start();
});
afterAll(() => b24.close());

describe('the OAuth server', () => {
  it('exchanges a refresh token for a new pair, with its own host as domain', async () => {
    const { refreshToken } = await b24.install();
    const { host } = new URL(b24.simulator.url);
    const portal = await b24.send('/_sim/portals/demo');
    const answer = await b24.refresh(refreshToken);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      access_token: expect.stringMatching(/^[\da-f]{32}$/),
      refresh_token: expect.stringMatching(/^[\da-f]{32}$/),
      expires: expect.any(Number),
      expires_in: 3600,
      client_endpoint: `http://${host}/portals/demo/rest/`,
      server_endpoint: `http://${host}/rest/`,
      domain: host,
      member_id: portal.at('member_id'),
      scope: 'crm,user_brief,imopenlines',
      status: 'L',
      user_id: 1,
    });
    expect(answer.at('refresh_token')).not.toBe(refreshToken);
    expect((await b24.callAs(answer.text('access_token'), 'profile')).status).toBe(200);
  });

  it('answers a GET with a query as well', async () => {
    const { refreshToken } = await b24.install();
    const query = `grant_type=refresh_token&client_id=demo.app&client_secret=demo.secret&refresh_token=${refreshToken}`;
    expect((await b24.send(`/oauth/token/?${query}`)).status).toBe(200);
  });

  it('takes a refresh token once, and the access token that came with it dies', async () => {
    const { accessToken, refreshToken } = await b24.install();
    expect((await b24.callAs(accessToken, 'profile')).status).toBe(200);
    expect((await b24.refresh(refreshToken)).status).toBe(200);
    expect((await b24.refresh(refreshToken)).error).toEqual([400, 'invalid_grant']);
    expect((await b24.callAs(accessToken, 'profile')).error).toEqual([401, 'expired_token']);
  });

  it('rejects other keys and other grants, and uses nothing up', async () => {
    const { refreshToken } = await b24.install();
    expect((await b24.refresh(refreshToken, { client_secret: 'x' })).error).toEqual([401, 'invalid_client']);
    expect((await b24.refresh(refreshToken, { client_id: 'x' })).error).toEqual([401, 'invalid_client']);
    expect((await b24.refresh(refreshToken, { grant_type: 'x' })).error).toEqual([400, 'invalid_request']);
    expect((await b24.refresh('junk')).error).toEqual([400, 'invalid_grant']);
    expect((await b24.refresh(refreshToken)).status).toBe(200);
  });

  it('knows no client once the application is uninstalled, and REST no token', async () => {
    const { accessToken, refreshToken } = await b24.install();
    await b24.control('uninstall');
    expect((await b24.refresh(refreshToken)).error).toEqual([401, 'invalid_client']);
    expect((await b24.callAs(accessToken, 'profile')).error).toEqual([401, 'invalid_token']);
  });

  it('gives the trusted status by app.info', async () => {
    const { accessToken } = await b24.install();
    expect((await b24.send(`/rest/app.info?auth=${accessToken}`)).at('result.STATUS')).toBe('L');
    expect((await b24.send('/rest/app.info?auth=junk')).error).toEqual([401, 'NO_AUTH_FOUND']);
  });

  it('names the address by which each caller came', async () => {
    const other = await TestSimulator.start({ publicUrl: 'http://portal-simulator:8080' });
    const { refreshToken } = await other.install();
    const answer = await other.refresh(refreshToken);
    expect(answer.at('client_endpoint')).toBe('http://portal-simulator:8080/portals/demo/rest/');
    await other.close();
  });

  it('agrees on the keys it was started with', async () => {
    const other = await TestSimulator.start({ clientId: 'local.1', clientSecret: 'shh' });
    const { refreshToken } = await other.install();
    expect((await other.refresh(refreshToken)).error).toEqual([401, 'invalid_client']);
    expect((await other.refresh(refreshToken, { client_id: 'local.1', client_secret: 'shh' })).status).toBe(
      200,
    );
    await other.close();
  });
});

describe('an access token', () => {
  it('lives for an hour', async () => {
    const { accessToken } = await b24.install();
    b24.skip(3599);
    expect((await b24.callAs(accessToken, 'profile')).status).toBe(200);
    b24.skip(1);
    expect((await b24.callAs(accessToken, 'profile')).error).toEqual([401, 'expired_token']);
  });

  it('can be made to expire, and the refresh token with it', async () => {
    const { accessToken, refreshToken } = await b24.install();
    expect((await b24.control('expire-tokens')).at('expired')).toBe(1);
    expect((await b24.callAs(accessToken, 'profile')).error).toEqual([401, 'expired_token']);
    const renewed = (await b24.refresh(refreshToken)).text('refresh_token');
    expect((await b24.control('expire-tokens', { refresh: true })).at('dropped')).toBe(1);
    expect((await b24.refresh(renewed)).error).toEqual([400, 'invalid_grant']);
  });
});
