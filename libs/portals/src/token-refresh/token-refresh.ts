import { setTimeout as delay } from 'node:timers/promises';
import {
  Bitrix24Error,
  OAuthError,
  type OAuthServers,
  type PortalAccess,
  type TokenGrant,
} from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { LimitFunction } from 'p-limit';
import { QueryFailedError, type DataSource, type EntityManager } from 'typeorm';
import {
  lockCredentials,
  noteRelocation,
  openAccess,
  readCredentials,
  storeGrant,
} from '../repository/credentials.js';
import { NOT_SUSPENDED, PortalEntity, type CredentialsEntity } from '../database/entities.js';
import { PortalError } from '../database/errors.js';
import type { SecretBox } from '../encryption/secret-box.js';
import { notify } from '../database/postgres-listener.js';
import { resetRejections } from './credential-health.js';

/** PostgreSQL's lock_not_available. */
const LOCK_NOT_AVAILABLE = '55P03';

/** Timeouts and intervals of a token refresh in milliseconds; tests make them short. */
export interface TokenRefreshTimings {
  /** Of one request to the OAuth server. */
  requestTimeoutMs: number;
  /** Releases the lock of a stalled process; longer than `requestTimeoutMs`. */
  idleTimeoutMs: number;
  /** A holder needs one token request; waiters wait for two. */
  lockTimeoutMs: number;
  /**
   * Delays between reads for a pair that a peer may still be storing, after the OAuth server rejected the stored one.
   */
  peerPausesMs: readonly number[];
  /** Delays between attempts to store a new pair after a database error. */
  storePausesMs: readonly number[];
  /** Minimum interval of relocation requests: a portal may respond 302 permanently. */
  relocationEveryMs: number;
  /** Minimum interval of early refreshes: a portal may reject every token as expired. */
  earlyRefreshEveryMs: number;
  /** How long a portal must reject its token before it becomes `needs-reauth`. */
  rejectionGraceMs: number;
  /** Interval between probes with a rejected token. */
  probeEveryMs: number;
}

export const DEFAULT_TIMINGS: TokenRefreshTimings = {
  requestTimeoutMs: 15_000,
  idleTimeoutMs: 25_000,
  lockTimeoutMs: 30_000,
  // Three seconds in total: a peer stores within milliseconds, unless its database connection failed.
  peerPausesMs: [100, 200, 400, 800, 1_500],
  // Half a minute in total: a restart of the database.
  storePausesMs: [100, 400, 1_500, 3_000, 5_000, 10_000, 10_000],
  relocationEveryMs: 10 * 60_000,
  earlyRefreshEveryMs: 60_000,
  rejectionGraceMs: 30 * 60_000,
  probeEveryMs: 3_600_000,
};

interface LockedCredentials {
  portal: PortalEntity;
  credentials: CredentialsEntity;
}

export interface TokenRefreshParts {
  memberId: string;
  dataSource: DataSource;
  box: SecretBox;
  /** Without it a stored pair cannot be refreshed. */
  oauth: Pick<OAuthServers, 'refresh'> | undefined;
  log: Log;
  /** Each refresh holds a database connection during the OAuth request: refreshes must not exhaust the pool. */
  semaphore: LimitFunction;
  timings: TokenRefreshTimings;
}

export interface TokenRefreshPurpose {
  /** Called under the lock: whether the stored pair is still the one that the caller could not use. May throw. */
  isNeeded: (stored: LockedCredentials, access: PortalAccess) => boolean;
  /** The portal rejected the token as expired, possibly before the end of its lifetime. */
  wasRejected?: boolean;
  /** The purpose is the portal's address; its time is stored to limit the rate. */
  isRelocation?: boolean;
}

/** A granted pair that is not stored yet. */
interface UnstoredGrant {
  grant: TokenGrant;
  consumedRefreshToken: string;
  earlyRefreshes: number;
}

/** False if rejections alone were the reason for `needs-reauth`: then the pair may still be valid. */
function requiresReauthorization({ portal, credentials }: LockedCredentials): boolean {
  return portal.state === 'needs-reauth' && credentials.rejectedSince === null;
}

/** A refresh token that the OAuth server rejected: a peer has consumed it, or it is invalid. */
class RejectedGrant {
  constructor(
    readonly consumedRefreshToken: string,
    readonly accessToken: string,
    readonly reason: PortalError,
  ) {}
}

/**
 * Token refresh of one portal. A refresh token can be used once, so the credentials row is locked from reading it until
 * the new pair is stored (`settings/oauth/`; concurrent refreshes are the best known cause of lost tokens in the
 * field).
 */
export class TokenRefresh {
  constructor(private readonly parts: TokenRefreshParts) {}

  /** @throws Bitrix24Error NOT_INSTALLED; PortalError; OAuthError; what the database throws */
  async run(purpose: TokenRefreshPurpose): Promise<PortalAccess> {
    const { semaphore } = this.parts;
    const outcome = await semaphore(() => this.#exchangeUnderLock(purpose));
    if (!(outcome instanceof RejectedGrant)) return outcome;
    return (await this.#awaitPeerRefresh(outcome)) ?? (await semaphore(() => this.#markNeedsReauth(outcome)));
  }

  async #exchangeUnderLock({
    isNeeded,
    wasRejected = false,
    isRelocation = false,
  }: TokenRefreshPurpose): Promise<PortalAccess | RejectedGrant> {
    const { box, memberId } = this.parts;
    let unstored: UnstoredGrant | undefined;
    try {
      return await this.#locked(async (manager, stored) => {
        if (requiresReauthorization(stored)) throw needsReauth(memberId);
        const access = openAccess(box, stored);
        if (!isNeeded(stored, access) || access.kind === 'webhook') return access;
        const earlyRefreshes = wasRejected
          ? this.#checkRefreshRate(stored)
          : stored.credentials.earlyRefreshes;
        const refreshToken = this.#openRefreshToken(stored);
        const grant = await this.#requestGrant(refreshToken, stored.credentials.oauthHost ?? undefined);
        if (!('refreshToken' in grant)) return new RejectedGrant(refreshToken, access.accessToken, grant);
        unstored = { grant, consumedRefreshToken: refreshToken, earlyRefreshes };
        if (isRelocation) await noteRelocation(manager, memberId);
        return await this.#store(manager, stored, unstored);
      });
    } catch (error) {
      if (!unstored) throw error;
      return await this.#persistOrphanedGrant(unstored, error);
    }
  }

  /** @returns an error if the OAuth server rejects the refresh token */
  async #requestGrant(refreshToken: string, oauthHost?: string): Promise<TokenGrant | PortalError> {
    const { oauth, memberId } = this.parts;
    if (!oauth) throw noOAuth(memberId);
    try {
      const grant = await oauth.refresh(refreshToken, oauthHost);
      return grant.memberId === memberId ? grant : wrongMember(memberId);
    } catch (error) {
      // Only this class: an error of our own client credentials must not mark every portal as `needs-reauth`.
      if (error instanceof OAuthError && error.errorClass === 'authorization') {
        return needsReauth(memberId, error);
      }
      throw error;
    }
  }

  async #store(
    manager: EntityManager,
    { portal }: LockedCredentials,
    { grant, earlyRefreshes }: UnstoredGrant,
  ): Promise<PortalAccess> {
    const { box, log } = this.parts;
    const endpoint = await storeGrant({ manager, box, log }, portal, grant, earlyRefreshes);
    return { kind: 'oauth', endpoint, accessToken: grant.accessToken };
  }

  /** A peer whose database connection failed, or that stalled, may be about to store the new pair. */
  async #awaitPeerRefresh({ accessToken }: RejectedGrant): Promise<PortalAccess | undefined> {
    const { dataSource, memberId, box, timings } = this.parts;
    for (const pauseMs of timings.peerPausesMs) {
      await delay(pauseMs);
      const access = openAccess(box, await readCredentials(dataSource, memberId));
      if (access.kind === 'webhook' || access.accessToken !== accessToken) return access;
    }
    return undefined;
  }

  /** Marks the portal `needs-reauth`, unless a new pair was stored. A pair that is stored later reverts it. */
  async #markNeedsReauth({ consumedRefreshToken, reason }: RejectedGrant): Promise<PortalAccess> {
    const { box, log, memberId } = this.parts;
    const newer = await this.#locked(async (manager, stored) => {
      if (!this.#isStill(consumedRefreshToken, stored)) return openAccess(box, stored);
      await resetRejections(manager, memberId);
      if (stored.portal.state === 'needs-reauth') return undefined;
      await manager.update(PortalEntity, { memberId }, { state: 'needs-reauth', ...NOT_SUSPENDED });
      await notify(manager, 'portals', memberId);
      log.warn(
        { event: 'portal.needs_reauth', memberId, code: reason.code },
        'the portal has to authorize the application again',
      );
      return undefined;
    });
    if (newer) return newer;
    throw reason;
  }

  /**
   * The old pair is invalid and the new one is only in memory, because the database failed in between. Retries until
   * the database stores it, unless a newer pair (or, after a lost response to COMMIT, this pair) is stored already.
   */
  async #persistOrphanedGrant(unstored: UnstoredGrant, firstError: unknown): Promise<PortalAccess> {
    const { box, log, memberId, timings } = this.parts;
    let lastError = firstError;
    for (const pauseMs of timings.storePausesMs) {
      log.warn(
        { event: 'token.store.retried', err: lastError, memberId },
        'a new token pair could not be stored yet; trying again',
      );
      await delay(pauseMs);
      try {
        return await this.#locked((manager, stored) =>
          this.#isStill(unstored.consumedRefreshToken, stored)
            ? this.#store(manager, stored, unstored)
            : Promise.resolve(openAccess(box, stored)),
        );
      } catch (error) {
        // Uninstalled meanwhile: the pair is of no use.
        if (error instanceof Bitrix24Error && error.code === 'NOT_INSTALLED') throw error;
        lastError = error;
      }
    }
    log.error(
      { event: 'token.store.failed', err: lastError, memberId },
      'a new token pair is lost, because it could not be stored',
    );
    throw lastError;
  }

  /** @throws Bitrix24Error EXPIRED_TOKEN, with the delay until a refresh is allowed */
  #checkRefreshRate({ credentials }: LockedCredentials): number {
    const { memberId, timings } = this.parts;
    const checked = checkRefreshRate(credentials, timings.earlyRefreshEveryMs);
    if ('waitMs' in checked) throw refreshedTooOften(memberId, checked.waitMs);
    return checked.earlyRefreshes;
  }

  #isStill(refreshToken: string, stored: LockedCredentials): boolean {
    return stored.credentials.kind === 'oauth' && this.#openRefreshToken(stored) === refreshToken;
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

/**
 * Runs `work` in a transaction with the exclusive lock for refreshing the portal's pair. A stalled holder loses the
 * lock after `idleTimeoutMs`; a waiter gives up after `lockTimeoutMs`.
 * @throws Bitrix24Error NOT_INSTALLED; PortalError CREDENTIALS_BUSY; whatever `work` or the database throws
 */
async function withLockedCredentials<T>(
  dataSource: DataSource,
  memberId: string,
  { lockTimeoutMs, idleTimeoutMs }: Pick<TokenRefreshTimings, 'lockTimeoutMs' | 'idleTimeoutMs'>,
  work: (manager: EntityManager, stored: LockedCredentials) => Promise<T>,
): Promise<T> {
  try {
    return await dataSource.transaction(async (manager) => {
      // The third parameter makes it SET LOCAL.
      await manager.query(
        `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true)`,
        [`${lockTimeoutMs}ms`, `${idleTimeoutMs}ms`],
      );
      return await work(manager, await lockCredentials(manager, memberId));
    });
  } catch (error) {
    if (!(error instanceof QueryFailedError && 'code' in error && error.code === LOCK_NOT_AVAILABLE))
      throw error;
    const message = 'Another process keeps the credentials of the portal locked';
    throw new PortalError('CREDENTIALS_BUSY', message, { memberId, cause: error });
  }
}

export function needsReauth(memberId: string, cause?: unknown): PortalError {
  const message = 'The portal has to authorize the application again: open it there, or install it anew';
  return new PortalError('NEEDS_REAUTH', message, { memberId, cause });
}

function wrongMember(memberId: string): PortalError {
  return new PortalError('WRONG_MEMBER', 'The OAuth server refreshed the token of another portal', {
    memberId,
  });
}

function noOAuth(memberId: string): PortalError {
  const message =
    'A token has expired, and without B24_CLIENT_ID and B24_CLIENT_SECRET it cannot be refreshed';
  return new PortalError('NO_OAUTH', message, { memberId });
}

/** The portal rejects recently granted tokens as expired (`checkRefreshRate`). */
function refreshedTooOften(memberId: string, retryAfterMs: number): Bitrix24Error {
  return new Bitrix24Error('EXPIRED_TOKEN', { memberId, recovery: 'wait', retryAfterMs, delivered: 'yes' });
}

/**
 * The portal responds 302 at its stored address, and neither the OAuth server nor the operator names another one: its
 * tokens are sent nowhere else (`settings/how-to-call-rest-api/change-domen.md`).
 */
export function unconfirmedAddress(memberId: string, retryAfterMs?: number): Bitrix24Error {
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new Bitrix24Error('REDIRECT', { memberId, recovery: 'reauthorize', ...wait });
}

/** Early refreshes without delay: a portal can invalidate a token early, for example when all sessions are ended. */
const FREE_IF_ACCEPTED = 5;
/** The pair of an install may be invalid on arrival; its refreshed successor is not. */
const FREE_IF_UNPROVEN = 1;
const MAX_PAUSE_MS = 3_600_000;

/**
 * Rate limit of token refreshes that a portal causes by `expired_token`. A portal that rejects every token as expired
 * must not cause endless requests to the OAuth server, which blocks an application for that
 * (`settings/oauth/auto-renewal.md`). A token that has not expired by its lifetime is refreshed at once a few times,
 * then after `everyMs` with exponential backoff. The counter is stored with the pair, for all processes.
 * @returns the number of consecutive early refreshes including this one, or the delay
 */
export function checkRefreshRate(
  {
    updatedAt,
    expiresAt,
    earlyRefreshes,
    acceptedAt,
  }: Pick<CredentialsEntity, 'updatedAt' | 'expiresAt' | 'earlyRefreshes' | 'acceptedAt'>,
  everyMs: number,
  nowMs = Date.now(),
): { readonly earlyRefreshes: number } | { readonly waitMs: number } {
  const ageMs = nowMs - updatedAt.getTime();
  const lifetimeMs = expiresAt === null ? 0 : expiresAt.getTime() - updatedAt.getTime();
  // A tenth of the lifetime is tolerance for clock skew. A lifetime shorter than `everyMs` does not raise the rate.
  if (ageMs >= Math.max(lifetimeMs * 0.9, everyMs)) {
    return { earlyRefreshes: acceptedAt === null ? earlyRefreshes : 0 };
  }
  const free = acceptedAt === null ? FREE_IF_UNPROVEN : FREE_IF_ACCEPTED;
  const pauseMs = earlyRefreshes < free ? 0 : Math.min(everyMs * 2 ** (earlyRefreshes - free), MAX_PAUSE_MS);
  return ageMs < pauseMs ? { waitMs: pauseMs - ageMs } : { earlyRefreshes: earlyRefreshes + 1 };
}
