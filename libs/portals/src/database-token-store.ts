import { setTimeout as delay } from 'node:timers/promises';
import {
  OAuthError,
  type OAuthServer,
  type PortalAccess,
  type TokenGrant,
  type TokenStore,
} from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import { QueryFailedError, type DataSource, type EntityManager } from 'typeorm';
import { lockCredentials, openAccess, readCredentials, saveOAuthCredentials } from './credentials.js';
import { PortalEntity, type CredentialsEntity } from './entities.js';
import { PortalError } from './errors.js';
import { announce } from './notifier.js';
import { renewedPortal } from './renewed-portal.js';
import type { SecretBox } from './secret-box.js';
import type { Turns } from './turns.js';
import { unlessAborted } from './unless-aborted.js';

export interface TokenStoreOptions {
  memberId: string;
  dataSource: DataSource;
  box: SecretBox;
  /** Without it access is all there is. */
  oauth: OAuthServer | undefined;
  log: Log;
  /** Renewals hold a connection each while the OAuth server thinks: they must not take the whole pool. */
  turns: Turns;
  lockTimeoutMs?: number;
}

/** A holder needs one exchange with the OAuth server (see `exchangeTimeoutMs`); waiters have patience for two. */
const lockTimeoutMs = 30_000;
/** Frees the lock of a process that stands still; longer than an exchange may take. */
const idleTimeoutMs = 25_000;
/** For the OAuth server's client. */
export const exchangeTimeoutMs = 15_000;
/** PostgreSQL's lock_not_available. */
const lockNotAvailable = '55P03';
/** Together about half a minute: a restart of the database. */
const rescuePausesMs = [100, 400, 1_500, 3_000, 5_000, 10_000, 10_000];

/**
 * The token pair of one portal, shared by all processes through the database. A refresh token works once, so a renewal
 * holds a lock on the credentials row from reading it until the new pair is stored (`settings/oauth/`; two that renew
 * at once is the best known loss in the field).
 */
export class DatabaseTokenStore implements TokenStore {
  #renewal: Promise<PortalAccess> | undefined;

  constructor(private readonly options: TokenStoreOptions) {}

  /** @throws Bitrix24Error NOT_INSTALLED; PortalError NEEDS_REAUTH, UNKNOWN_KEY, BROKEN_SEAL; the signal's reason */
  async access(signal?: AbortSignal): Promise<PortalAccess> {
    const { dataSource, box, memberId } = this.options;
    signal?.throwIfAborted();
    const stored = await readCredentials(dataSource, memberId);
    signal?.throwIfAborted();
    if (stored.portal.state === 'needs-reauth') throw needsReauth(memberId);
    return openAccess(box, stored);
  }

  /**
   * Aborting the signal ends the caller's wait, never the renewal: its answer holds the only pair that still works.
   * @throws as `access`, and PortalError WRONG_MEMBER, NO_OAUTH, CREDENTIALS_BUSY; OAuthError
   */
  async renew(staleAccessToken: string, signal?: AbortSignal): Promise<PortalAccess> {
    const running = this.#renewal;
    if (running) {
      const access = await unlessAborted(running, signal);
      // The renewal that ran may have been about an older token than the caller's.
      if (access.kind === 'webhook' || access.accessToken !== staleAccessToken) return access;
    }
    this.#renewal ??= this.#renewInTurn(staleAccessToken);
    return await unlessAborted(this.#renewal, signal);
  }

  /** Waits for a renewal that runs, so that the process does not end with the new pair in hand. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#renewal]);
  }

  async #renewInTurn(staleAccessToken: string): Promise<PortalAccess> {
    try {
      return await this.options.turns.run(() => this.#renewUnderLock(staleAccessToken));
    } finally {
      this.#renewal = undefined;
    }
  }

  async #renewUnderLock(staleAccessToken: string): Promise<PortalAccess> {
    const { box } = this.options;
    let exchanged: { grant: TokenGrant; spent: string } | undefined;
    let outcome: PortalAccess | PortalError;
    try {
      outcome = await this.#locked(async (manager, stored) => {
        if (stored.portal.state === 'needs-reauth') throw needsReauth(this.options.memberId);
        const access = openAccess(box, stored);
        if (access.kind === 'webhook' || access.accessToken !== staleAccessToken) return access;
        const spent = this.#openRefreshToken(stored.credentials);
        const grant = await this.#exchange(spent);
        if (grant instanceof PortalError) return await this.#giveUp(manager, grant);
        exchanged = { grant, spent };
        return await this.#store(manager, stored.portal, grant);
      });
    } catch (error) {
      if (!exchanged) throw error;
      return await this.#rescue(exchanged.grant, exchanged.spent, error);
    }
    if (outcome instanceof PortalError) throw outcome;
    return outcome;
  }

  /** @returns an error when the refresh token is dead for good, which has to be written down, not rolled back */
  async #exchange(refreshToken: string): Promise<TokenGrant | PortalError> {
    const { oauth, memberId } = this.options;
    if (!oauth) {
      const message =
        'A token has expired, and without B24_CLIENT_ID and B24_CLIENT_SECRET it cannot be renewed';
      throw new PortalError('NO_OAUTH', message, { memberId });
    }
    try {
      const grant = await oauth.refresh(refreshToken);
      if (grant.memberId === memberId) return grant;
      return new PortalError('WRONG_MEMBER', 'The OAuth server renewed the token of another portal', {
        memberId,
      });
    } catch (error) {
      // invalid_client is about our own keys: a wrong one must not send every portal to its administrator.
      if (error instanceof OAuthError && error.code.toLowerCase() === 'invalid_grant') {
        return needsReauth(memberId, error);
      }
      throw error;
    }
  }

  async #giveUp(manager: EntityManager, reason: PortalError): Promise<PortalError> {
    const { memberId, log } = this.options;
    await manager.update(PortalEntity, { memberId }, { state: 'needs-reauth' });
    await announce(manager, 'portals', memberId);
    log.warn({ memberId, code: reason.code }, 'the portal has to authorize the application again');
    return reason;
  }

  /** A renewal also tells the portal's present address: it may have been renamed. */
  async #store(manager: EntityManager, portal: PortalEntity, grant: TokenGrant): Promise<PortalAccess> {
    const { box, memberId } = this.options;
    const changes = renewedPortal(portal, grant);
    await saveOAuthCredentials(manager, box, grant);
    if (changes) {
      await manager.update(PortalEntity, { memberId }, changes);
      await announce(manager, 'portals', memberId);
    }
    const endpoint = changes?.clientEndpoint ?? portal.clientEndpoint;
    return { kind: 'oauth', endpoint, accessToken: grant.accessToken };
  }

  /**
   * The old pair is dead and the new one is only here: the database failed between. It is stored as soon as the
   * database answers, unless something newer (or, after a lost answer to COMMIT, the pair itself) is there already.
   */
  async #rescue(grant: TokenGrant, spent: string, firstError: unknown): Promise<PortalAccess> {
    const { box, log, memberId } = this.options;
    let lastError = firstError;
    for (const pauseMs of rescuePausesMs) {
      log.warn({ err: lastError, memberId }, 'a renewed token pair could not be stored yet; trying again');
      await delay(pauseMs);
      try {
        return await this.#locked((manager, stored) =>
          this.#openRefreshToken(stored.credentials) === spent
            ? this.#store(manager, stored.portal, grant)
            : Promise.resolve(openAccess(box, stored)),
        );
      } catch (error) {
        lastError = error;
      }
    }
    log.error(
      { err: lastError, memberId },
      'a renewed token pair is lost: the portal has to authorize again',
    );
    throw lastError;
  }

  async #locked<T>(
    work: (
      manager: EntityManager,
      stored: { portal: PortalEntity; credentials: CredentialsEntity },
    ) => Promise<T>,
  ): Promise<T> {
    const { dataSource, memberId } = this.options;
    try {
      return await dataSource.transaction(async (manager) => {
        // The third parameter makes it SET LOCAL.
        await manager.query(
          `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true)`,
          [`${this.options.lockTimeoutMs ?? lockTimeoutMs}ms`, `${idleTimeoutMs}ms`],
        );
        return await work(manager, await lockCredentials(manager, memberId));
      });
    } catch (error) {
      if (!(error instanceof QueryFailedError && 'code' in error && error.code === lockNotAvailable))
        throw error;
      const message = 'Another process keeps the credentials of the portal locked';
      throw new PortalError('CREDENTIALS_BUSY', message, { memberId, cause: error });
    }
  }

  #openRefreshToken({ refreshToken }: CredentialsEntity): string {
    const { box, memberId } = this.options;
    return box.open(refreshToken ?? '', { memberId, field: 'refresh_token' });
  }
}

function needsReauth(memberId: string, cause?: unknown): PortalError {
  const message = 'The portal has to authorize the application again: open it there, or install it anew';
  return new PortalError('NEEDS_REAUTH', message, { memberId, cause });
}
