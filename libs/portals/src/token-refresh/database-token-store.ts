import {
  OAuthError,
  type PortalAccess,
  type RequestOutcome,
  type TokenStore,
  unlessAborted,
} from '@relay/bitrix24';
import {
  noteConnectorLost,
  openAccess,
  type ReadAccess,
  readCredentials,
} from '../repository/credentials.js';
import type { PortalCircuitBreaker } from '../suspension/portal-circuit-breaker.js';
import { CredentialHealth } from './credential-health.js';
import {
  needsReauth,
  TokenRefresh,
  unconfirmedAddress,
  type TokenRefreshParts,
  type TokenRefreshPurpose,
} from './token-refresh.js';

export interface TokenStoreParts extends TokenRefreshParts {
  circuitBreaker: PortalCircuitBreaker;
}

/** Token store of one portal, shared by all processes through the database. */
export class DatabaseTokenStore implements TokenStore {
  readonly #refresher: TokenRefresh;
  /** Refreshes in flight, at most one per purpose, shared by all callers. */
  readonly #running = new Map<string, Promise<PortalAccess>>();

  readonly #health: CredentialHealth;
  /** Whether the portal's next response tells something new about the token. */
  #isInDoubt = false;

  constructor(private readonly parts: TokenStoreParts) {
    this.#refresher = new TokenRefresh(parts);
    this.#health = new CredentialHealth(parts.dataSource, parts.log, parts.timings);
  }

  /**
   * @throws Bitrix24Error NOT_INSTALLED, PORTAL_SUSPENDED; PortalError NEEDS_REAUTH, UNKNOWN_KEY, BROKEN_SEAL; the
   * signal's reason
   */
  async access(signal?: AbortSignal): Promise<PortalAccess> {
    const { dataSource, box, memberId, circuitBreaker } = this.parts;
    signal?.throwIfAborted();
    const stored = await readCredentials(dataSource, memberId);
    signal?.throwIfAborted();
    this.#isInDoubt = stored.isInDoubt;
    if (stored.portal.state === 'needs-reauth' && !(await this.#mayProbe(stored)))
      throw needsReauth(memberId);
    if (stored.portal.state === 'suspended') await circuitBreaker.admit(memberId);
    if (stored.portal.state === 'needs-webhook') circuitBreaker.noteWithoutWebhook(memberId);
    if (stored.isResuming) circuitBreaker.noteResuming(memberId);
    return openAccess(box, stored);
  }

  /**
   * The signal aborts the caller's wait, never the refresh itself: its response holds the only valid pair.
   * @throws as `access`, and PortalError WRONG_MEMBER, NO_OAUTH, CREDENTIALS_BUSY; OAuthError
   */
  async refresh(staleAccessToken: string, signal?: AbortSignal): Promise<PortalAccess> {
    const isStale = (access: PortalAccess): boolean =>
      access.kind === 'oauth' && access.accessToken === staleAccessToken;
    const running = this.#running.get('refresh');
    if (running) {
      const access = await unlessAborted(running, signal);
      // The refresh in flight may have been for an older token than the caller's.
      if (!isStale(access)) return access;
    }
    const refresh = this.#once('refresh', {
      wasRejected: true,
      isNeeded: (_stored, access) => isStale(access),
    });
    const refreshed = await unlessAborted(refresh, signal);
    this.#isInDoubt = true;
    return refreshed;
  }

  /**
   * The successor of a token that the portal rejects, also one that another process is about to store: the old pair
   * became invalid when the OAuth server granted the new one, before that was stored.
   * @returns the rejected token if it is still the newest. @throws as `refresh`
   */
  async latest(rejectedAccessToken: string, signal?: AbortSignal): Promise<PortalAccess> {
    const isRejected = (access: PortalAccess): boolean =>
      access.kind === 'oauth' && access.accessToken === rejectedAccessToken;
    const stored = await this.access(signal);
    if (!isRejected(stored)) return stored;
    const readUnderLock = (): Promise<PortalAccess> =>
      unlessAborted(this.#once('latest', { isNeeded: () => false }), signal);
    const latest = await readUnderLock();
    // A read in flight may have begun before the refresh.
    return isRejected(latest) ? await readUnderLock() : latest;
  }

  /** Records the outcome of each request to the portal. Never rejects: the caller gets the outcome in any case. */
  async note(outcome: RequestOutcome): Promise<void> {
    const { memberId, log } = this.parts;
    try {
      if (outcome.ok) {
        if (this.#isInDoubt) await this.#health.accepted(memberId);
        this.#isInDoubt = false;
      } else if (outcome.error.errorClass === 'authorization') {
        await this.#health.rejected(memberId);
      }
    } catch (err) {
      log.warn(
        { event: 'token.health.unstored', err, memberId },
        'whether a portal accepted its token could not be stored',
      );
    }
  }

  /**
   * The address of a portal that responded 302 at `staleEndpoint`, as confirmed by the OAuth server, never by the
   * portal. It takes a token refresh, so it happens at most once in ten minutes.
   * @throws as `refresh`, and Bitrix24Error REDIRECT without another address that may be called
   */
  async relocate(staleEndpoint: string, signal?: AbortSignal): Promise<PortalAccess> {
    const relocation = this.#once(`relocate ${staleEndpoint}`, {
      isRelocation: true,
      isNeeded: ({ portal, credentials }) => {
        if (credentials.kind === 'webhook' || portal.clientEndpoint !== staleEndpoint) return false;
        this.#rejectTooSoon(credentials.relocationAskedAt);
        return true;
      },
    });
    const access = await unlessAborted(relocation, signal);
    if (access.endpoint === staleEndpoint) throw unconfirmedAddress(this.parts.memberId);
    return access;
  }

  /** Changes are sent without a connector from now on, and the handlers are bound without one soon. */
  async connectorRejected(): Promise<void> {
    const { memberId, dataSource, log } = this.parts;
    await noteConnectorLost({ dataSource, log }, memberId);
  }

  /**
   * Refreshes a pair that was not used since `idleSince`, so that its refresh token does not expire.
   * @throws as `refresh`
   */
  async refreshStale(idleSince: Date): Promise<PortalAccess> {
    return this.#once('idle', { isNeeded: ({ credentials }) => credentials.updatedAt < idleSince });
  }

  /** Waits for the refreshes in flight, so that the process does not exit with an unstored pair. */
  async waitForRefreshes(): Promise<void> {
    // A caller whose new pair was rejected may have started another refresh.
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values());
  }

  #once(name: string, purpose: TokenRefreshPurpose): Promise<PortalAccess> {
    const running = this.#running.get(name);
    if (running) return running;
    const started = this.#run(purpose).finally(() => this.#running.delete(name));
    this.#running.set(name, started);
    return started;
  }

  async #run(purpose: TokenRefreshPurpose): Promise<PortalAccess> {
    try {
      return await this.#refresher.run(purpose);
    } catch (error) {
      if (!(error instanceof OAuthError) || error.unreachable) throw error;
      if (error.code.toUpperCase() !== 'PAYMENT_REQUIRED') throw error;
      // Outside the transaction, which locked the portal's row.
      throw await this.parts.circuitBreaker.suspend(this.parts.memberId, 'PAYMENT_REQUIRED', error);
    }
  }

  async #mayProbe({ isInDoubt }: ReadAccess): Promise<boolean> {
    return isInDoubt && (await this.#health.admitProbe(this.parts.memberId));
  }

  #rejectTooSoon(askedAt: Date | null): void {
    const { memberId, timings } = this.parts;
    const cooldownMs = askedAt === null ? 0 : askedAt.getTime() + timings.relocationEveryMs - Date.now();
    if (cooldownMs > 0) throw unconfirmedAddress(memberId, cooldownMs);
  }
}
