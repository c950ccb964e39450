import { setTimeout as delay } from 'node:timers/promises';
import {
  Bitrix24Error,
  OAuthError,
  type OAuthServers,
  type PortalAccess,
  type TokenGrant,
} from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import { noteRelocation, openAccess, readCredentials } from '../credentials.js';
import { PortalEntity } from '../entities.js';
import type { PortalError } from '../errors.js';
import type { SecretBox } from '../encryption/secret-box.js';
import { announce } from '../notifier.js';
import { notSuspended } from '../suspension/state.js';
import { forgetRefusals } from './credential-health.js';
import { checkRefreshRate } from './refresh-rate.js';
import { withLockedCredentials, type LockedCredentials } from './locked-credentials.js';
import { needsReauth, noOAuth, refreshedTooOften, wrongMember } from './token-refresh-errors.js';
import { storeGrant } from './store-grant.js';
import type { TokenRefreshTimings } from './token-refresh-timings.js';
import type { Semaphore } from './semaphore.js';

export interface TokenRefreshParts {
  memberId: string;
  dataSource: DataSource;
  box: SecretBox;
  /** Without it a stored pair cannot be renewed. */
  oauth: Pick<OAuthServers, 'refresh'> | undefined;
  log: Log;
  /** Renewals hold a connection each while the OAuth server thinks: they must not take the whole pool. */
  semaphore: Semaphore;
  timings: TokenRefreshTimings;
}

export interface TokenRefreshPurpose {
  /** Asked under the lock: whether what is stored is still what the caller could not work with. May throw. */
  isNeeded: (stored: LockedCredentials, access: PortalAccess) => boolean;
  /** The portal calls the token expired, which it may be before its time. */
  isRefusal?: boolean;
  /** It is about the portal's address; noted, for the next one must not come too soon. */
  isRelocation?: boolean;
}

/** A new pair in hand, not stored yet. */
interface Exchanged {
  grant: TokenGrant;
  /** The refresh token that it was exchanged for. */
  spent: string;
  earlyRenewals: number;
}

/** One that was marked for refusals alone may still have a pair that works. */
function isForPeople({ portal, credentials }: LockedCredentials): boolean {
  return portal.state === 'needs-reauth' && credentials.refusedSince === null;
}

/** A pair that the OAuth server does not know any more: a peer has renewed it, or it is dead. */
class RejectedGrant {
  constructor(
    readonly spent: string,
    readonly accessToken: string,
    readonly reason: PortalError,
  ) {}
}

/**
 * One renewal of one portal's pair. A refresh token works once, so the credentials row is locked from reading it until
 * the new pair is stored (`settings/oauth/`; two that renew at once is the best known loss in the field).
 */
export class TokenRefresh {
  constructor(private readonly parts: TokenRefreshParts) {}

  /** @throws Bitrix24Error NOT_INSTALLED; PortalError; OAuthError; what the database throws */
  async run(purpose: TokenRefreshPurpose): Promise<PortalAccess> {
    const { semaphore } = this.parts;
    const outcome = await semaphore.run(() => this.#exchangeUnderLock(purpose));
    if (!(outcome instanceof RejectedGrant)) return outcome;
    return (await this.#awaitPeerRefresh(outcome)) ?? (await semaphore.run(() => this.#giveUp(outcome)));
  }

  async #exchangeUnderLock({
    isNeeded,
    isRefusal = false,
    isRelocation = false,
  }: TokenRefreshPurpose): Promise<PortalAccess | RejectedGrant> {
    const { box, memberId } = this.parts;
    let exchanged: Exchanged | undefined;
    try {
      return await this.#locked(async (manager, stored) => {
        if (isForPeople(stored)) throw needsReauth(memberId);
        const access = openAccess(box, stored);
        if (!isNeeded(stored, access) || access.kind === 'webhook') return access;
        const earlyRenewals = isRefusal ? this.#checkRefreshRate(stored) : stored.credentials.earlyRenewals;
        const spent = this.#openRefreshToken(stored);
        const grant = await this.#exchange(spent, stored.credentials.oauthHost ?? undefined);
        if (!('refreshToken' in grant)) return new RejectedGrant(spent, access.accessToken, grant);
        exchanged = { grant, spent, earlyRenewals };
        if (isRelocation) await noteRelocation(manager, memberId);
        return await this.#store(manager, stored, exchanged);
      });
    } catch (error) {
      if (!exchanged) throw error;
      return await this.#persistOrphanedGrant(exchanged, error);
    }
  }

  /** @returns an error where the pair is dead, as far as the OAuth server knows */
  async #exchange(refreshToken: string, oauthHost?: string): Promise<TokenGrant | PortalError> {
    const { oauth, memberId } = this.parts;
    if (!oauth) throw noOAuth(memberId);
    try {
      const grant = await oauth.refresh(refreshToken, oauthHost);
      return grant.memberId === memberId ? grant : wrongMember(memberId);
    } catch (error) {
      // Only this says so: a refusal of our own keys must not send every portal to its administrator.
      if (error instanceof OAuthError && error.errorClass === 'authorization') {
        return needsReauth(memberId, error);
      }
      throw error;
    }
  }

  async #store(
    manager: EntityManager,
    { portal }: LockedCredentials,
    { grant, earlyRenewals }: Exchanged,
  ): Promise<PortalAccess> {
    const { box, log } = this.parts;
    const endpoint = await storeGrant({ manager, box, log }, portal, grant, earlyRenewals);
    return { kind: 'oauth', endpoint, accessToken: grant.accessToken };
  }

  /** A peer whose connection was cut, or that stood still, may have the new pair in hand and be about to store it. */
  async #awaitPeerRefresh({ accessToken }: RejectedGrant): Promise<PortalAccess | undefined> {
    const { dataSource, memberId, box, timings } = this.parts;
    for (const pauseMs of timings.peerPausesMs) {
      await delay(pauseMs);
      const access = openAccess(box, await readCredentials(dataSource, memberId));
      if (access.kind === 'webhook' || access.accessToken !== accessToken) return access;
    }
    return undefined;
  }

  /** Marks the portal, unless a new pair has come. A pair that is stored after it takes the mark back. */
  async #giveUp({ spent, reason }: RejectedGrant): Promise<PortalAccess> {
    const { box, log, memberId } = this.parts;
    const newer = await this.#locked(async (manager, stored) => {
      if (!this.#isStill(spent, stored)) return openAccess(box, stored);
      await forgetRefusals(manager, memberId);
      if (stored.portal.state === 'needs-reauth') return undefined;
      await manager.update(PortalEntity, { memberId }, { state: 'needs-reauth', ...notSuspended });
      await announce(manager, 'portals', memberId);
      log.warn({ memberId, code: reason.code }, 'the portal has to authorize the application again');
      return undefined;
    });
    if (newer) return newer;
    throw reason;
  }

  /**
   * The old pair is dead and the new one is only here: the database failed between. It is stored as soon as the
   * database answers, unless something newer (or, after a lost answer to COMMIT, the pair itself) is there already.
   */
  async #persistOrphanedGrant(exchanged: Exchanged, firstError: unknown): Promise<PortalAccess> {
    const { box, log, memberId, timings } = this.parts;
    let lastError = firstError;
    for (const pauseMs of timings.rescuePausesMs) {
      log.warn({ err: lastError, memberId }, 'a renewed token pair could not be stored yet; trying again');
      await delay(pauseMs);
      try {
        return await this.#locked((manager, stored) =>
          this.#isStill(exchanged.spent, stored)
            ? this.#store(manager, stored, exchanged)
            : Promise.resolve(openAccess(box, stored)),
        );
      } catch (error) {
        // Uninstalled meanwhile: there is nothing left that the pair could be for.
        if (error instanceof Bitrix24Error && error.code === 'NOT_INSTALLED') throw error;
        lastError = error;
      }
    }
    log.error(
      { err: lastError, memberId },
      'a renewed token pair is lost: the portal has to authorize again',
    );
    throw lastError;
  }

  /** @throws Bitrix24Error EXPIRED_TOKEN, with the time until it may be renewed */
  #checkRefreshRate({ credentials }: LockedCredentials): number {
    const { memberId, timings } = this.parts;
    const judged = checkRefreshRate(credentials, timings.earlyRefreshEveryMs);
    if ('waitMs' in judged) throw refreshedTooOften(memberId, judged.waitMs);
    return judged.earlyRenewals;
  }

  #isStill(spent: string, stored: LockedCredentials): boolean {
    return stored.credentials.kind === 'oauth' && this.#openRefreshToken(stored) === spent;
  }

  #openRefreshToken({ credentials: { refreshToken } }: LockedCredentials): string {
    const { box, memberId } = this.parts;
    return box.open(refreshToken ?? '', { memberId, field: 'refresh_token' });
  }

  #locked<T>(work: (manager: EntityManager, stored: LockedCredentials) => Promise<T>): Promise<T> {
    const { dataSource, memberId, timings } = this.parts;
    return withLockedCredentials(dataSource, memberId, timings, work);
  }
}
