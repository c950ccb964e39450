import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Peer } from '../../test/peer.js';
import { OAuthServers } from './oauth-server.js';

const hostOf = (peer: Peer): string => new URL(peer.url).host;

const keys = { clientId: 'app.1', clientSecret: 'cl1ent-s3cret' };

describe('the trusted OAuth servers', () => {
  let west: Peer;
  let east: Peer;
  let stranger: Peer;
  beforeEach(async () => {
    [west, east, stranger] = [await Peer.start(), await Peer.start(), await Peer.start()];
  });
  afterEach(() => Promise.all([west, east, stranger].map((peer) => peer.stop())));

  function servers(): OAuthServers {
    return new OAuthServers({ ...keys, urls: [west.url, east.url] });
  }

  /** All three grant a pair and name `named` as its server. */
  function grantFor(named: Peer): void {
    for (const peer of [west, east, stranger]) {
      peer.answer = () => ({
        body: {
          access_token: 'acc3ss-new',
          refresh_token: 'r3fresh-new',
          client_endpoint: 'https://portal.bitrix24.com/rest/',
          server_endpoint: `${named.url}/rest/`,
          member_id: 'm1',
        },
      });
    }
  }

  it('are selected by the tokens', async () => {
    grantFor(east);
    expect(await servers().refresh('r3fresh-old', hostOf(east))).toMatchObject({ oauthHost: hostOf(east) });
    expect([west, east].map(({ received }) => received.length)).toEqual([0, 1]);
  });

  it('default to the first of the list if the tokens name none, or one that is not in it', async () => {
    grantFor(west);
    for (const named of [undefined, '', hostOf(stranger), '127.0.0.1']) {
      expect(await servers().refresh('r3fresh-old', named)).toMatchObject({ oauthHost: hostOf(west) });
    }
    expect([west, east, stranger].map(({ received }) => received.length)).toEqual([4, 0, 0]);
  });

  it('return the server of the next refresh', async () => {
    grantFor(east);
    expect(await servers().refresh('r3fresh-old', hostOf(west))).toMatchObject({ oauthHost: hostOf(east) });
  });

  it('never return a server that is not in the list', async () => {
    grantFor(stranger);
    expect(await servers().refresh('r3fresh-old', hostOf(east))).toMatchObject({ oauthHost: hostOf(east) });
    expect(stranger.received).toEqual([]);
  });

  it('must not be empty', () => {
    expect(() => new OAuthServers({ ...keys, urls: [] })).toThrow(TypeError);
  });
});
