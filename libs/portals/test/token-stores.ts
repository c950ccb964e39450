import { OAuthServers } from '@relay/bitrix24';
import { silentLog } from '@relay/platform';
import type { DataSource } from 'typeorm';
import type { SecretBox } from '../src/keys/secret-box.js';
import { DatabaseTokenStore, type TokenStoreParts } from '../src/renewal/database-token-store.js';
import { usualTimings, type RenewalTimings } from '../src/renewal/timings.js';
import { Turns } from '../src/renewal/turns.js';
import { Suspensions } from '../src/suspension/suspensions.js';

/** The usual ones, but nobody waits seconds for a peer, and tokens expire as often as a test wants. */
export const quickTimings: RenewalTimings = {
  ...usualTimings,
  peerPausesMs: [20, 40, 80],
  earlyRenewalEveryMs: 0,
};

export interface StoreOptions extends Partial<TokenStoreParts> {
  memberId: string;
  dataSource: DataSource;
  box: SecretBox;
  oauthUrl: string;
}

/** What one process has for one portal. */
export function tokenStore({ oauthUrl, ...given }: StoreOptions): DatabaseTokenStore {
  const { dataSource, log = silentLog } = given;
  return new DatabaseTokenStore({
    oauth: new OAuthServers({ urls: [oauthUrl], clientId: 'id', clientSecret: 'secret', timeoutMs: 5_000 }),
    log,
    turns: new Turns(3),
    timings: quickTimings,
    suspensions: new Suspensions(dataSource, log),
    ...given,
  });
}
