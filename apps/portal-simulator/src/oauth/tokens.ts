import { newToken, type Installation } from './installation.js';

export interface AccessToken {
  readonly token: string;
  readonly installation: Installation;
  readonly userId: number;
  expiresAtMs: number;
}

export interface TokenPair {
  access: AccessToken;
  refreshToken: string;
}

interface RefreshToken {
  readonly installation: Installation;
  readonly access: AccessToken;
  readonly expiresAtMs: number;
}

const REFRESH_LIFETIME_MS = 180 * 24 * 3600 * 1000;

/**
 * Every OAuth token that the simulator gave out. A refresh token works once; its access token dies with it.
 */
export class Tokens {
  private readonly access = new Map<string, AccessToken>();
  private readonly refresh = new Map<string, RefreshToken>();
  private readonly forEvents = new Map<Installation, Map<number, AccessToken>>();

  issue(installation: Installation, userId: number, nowMs: number): TokenPair {
    const access = this.issueAccess(installation, userId, nowMs);
    const refreshToken = newToken();
    this.refresh.set(refreshToken, { installation, access, expiresAtMs: nowMs + REFRESH_LIFETIME_MS });
    return { access, refreshToken };
  }

  /** Whose refresh token it is, used up or not; undefined for one that is unknown, used or too old. */
  ownerOf(refreshToken: string, nowMs: number): Installation | undefined {
    const known = this.refresh.get(refreshToken);
    return known && nowMs < known.expiresAtMs ? known.installation : undefined;
  }

  /**
   * A new pair for an old refresh token, which is dead from now on, as is the access token that came with
   * it.
   */
  rotate(refreshToken: string, nowMs: number): TokenPair | undefined {
    const known = this.refresh.get(refreshToken);
    if (!known || nowMs >= known.expiresAtMs) return undefined;
    this.refresh.delete(refreshToken);
    known.access.expiresAtMs = Math.min(known.access.expiresAtMs, nowMs);
    return this.issue(known.installation, known.access.userId, nowMs);
  }

  find(accessToken: string): AccessToken | undefined {
    return this.access.get(accessToken);
  }

  /**
   * The token that an event carries: the same one until it expires, so that 100,000 events make no 100,000
   * tokens.
   */
  forEvent(installation: Installation, userId: number, nowMs: number): AccessToken {
    const byUser = this.forEvents.get(installation) ?? new Map<number, AccessToken>();
    this.forEvents.set(installation, byUser);
    const current = byUser.get(userId);
    if (current && nowMs < current.expiresAtMs) return current;
    const fresh = this.issueAccess(installation, userId, nowMs);
    byUser.set(userId, fresh);
    return fresh;
  }

  expireAccess(installation: Installation, nowMs: number): number {
    const alive = [...this.access.values()].filter(
      (token) => token.installation === installation && token.expiresAtMs > nowMs,
    );
    for (const token of alive) token.expiresAtMs = nowMs;
    return alive.length;
  }

  dropRefresh(installation: Installation): number {
    const dropped = [...this.refresh].filter(([, known]) => known.installation === installation);
    for (const [token] of dropped) this.refresh.delete(token);
    return dropped.length;
  }

  /**
   * After an uninstall no access token is known any more; the refresh token is, to be answered
   * `invalid_client`.
   */
  revokeAccess(installation: Installation): void {
    for (const [token, known] of this.access)
      if (known.installation === installation) this.access.delete(token);
    this.forEvents.delete(installation);
  }

  private issueAccess(installation: Installation, userId: number, nowMs: number): AccessToken {
    const expiresAtMs = nowMs + installation.accessTokenSeconds * 1000;
    const access: AccessToken = { token: newToken(), installation, userId, expiresAtMs };
    this.access.set(access.token, access);
    return access;
  }
}
