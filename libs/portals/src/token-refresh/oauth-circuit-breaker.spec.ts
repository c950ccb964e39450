import { OAuthServer } from '@relay/bitrix24';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { OAuthCircuitBreaker } from './oauth-circuit-breaker.js';

const away = { code: 'TIMEOUT', unreachable: true, recovery: 'wait' };

describe('OAuthCircuitBreaker, while the OAuth server hangs', () => {
  let oauth: SingleUseOAuth;
  beforeEach(async () => {
    oauth = await SingleUseOAuth.start();
  });
  afterEach(() => oauth.stop());

  function withPause(pauseMs: number): OAuthCircuitBreaker {
    const server = new OAuthServer({ url: oauth.url, clientId: 'id', clientSecret: 's', timeoutMs: 200 });
    return new OAuthCircuitBreaker(server, pauseMs);
  }

  it('is open after a timeout and fails fast', async () => {
    oauth.hold();
    const server = withPause(60_000);
    await expect(server.refresh(oauth.grant('a').refreshToken)).rejects.toMatchObject(away);
    for (const memberId of ['b', 'c']) {
      await expect(server.refresh(oauth.grant(memberId).refreshToken)).rejects.toMatchObject(away);
    }
    expect([...oauth.exchanges.keys()]).toEqual(['a']);
  });

  it('closes again after the pause', async () => {
    const release = oauth.hold();
    const server = withPause(50);
    await expect(server.refresh(oauth.grant('a').refreshToken)).rejects.toMatchObject(away);
    release();
    const { refreshToken } = oauth.grant('b');
    await eventually(async () => expect(await server.refresh(refreshToken)).toMatchObject({ memberId: 'b' }));
  });

  it('stays closed after a rejection, which is a response', async () => {
    const server = withPause(60_000);
    await expect(server.refresh('spent')).rejects.toMatchObject({ code: 'invalid_grant' });
    await expect(server.refresh(oauth.grant('a').refreshToken)).resolves.toMatchObject({ memberId: 'a' });
  });
});
