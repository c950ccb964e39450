import { OAuthServers } from '@relay/bitrix24';
import { silentLog } from '@relay/platform';
import pLimit from 'p-limit';
import type { DataSource } from 'typeorm';
import type { SecretBox } from '../src/encryption/secret-box.js';
import { DatabaseTokenStore, type TokenStoreParts } from '../src/token-refresh/database-token-store.js';
import { DEFAULT_TIMINGS, type TokenRefreshTimings } from '../src/token-refresh/token-refresh.js';
import { PortalCircuitBreaker } from '../src/suspension/portal-circuit-breaker.js';

/** The usual ones, but nobody waits seconds for a peer, and tokens expire as often as a test wants. */
export const quickTimings: TokenRefreshTimings = {
  ...DEFAULT_TIMINGS,
  peerPausesMs: [20, 40, 80],
  earlyRefreshEveryMs: 0,
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
    semaphore: pLimit(3),
    timings: quickTimings,
    circuitBreaker: new PortalCircuitBreaker(dataSource, log),
    ...given,
  });
}
