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

/** All OAuth tokens that were issued. A refresh token works once; its access token expires with it. */
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

  /** The installation of a refresh token; undefined if it is unknown, used or expired. */
  ownerOf(refreshToken: string, nowMs: number): Installation | undefined {
    const entry = this.refresh.get(refreshToken);
    return entry && nowMs < entry.expiresAtMs ? entry.installation : undefined;
  }

  /** Exchanges a refresh token for a new pair; the old refresh token and its access token stop working. */
  rotate(refreshToken: string, nowMs: number): TokenPair | undefined {
    const entry = this.refresh.get(refreshToken);
    if (!entry || nowMs >= entry.expiresAtMs) return undefined;
    this.refresh.delete(refreshToken);
    entry.access.expiresAtMs = Math.min(entry.access.expiresAtMs, nowMs);
    return this.issue(entry.installation, entry.access.userId, nowMs);
  }

  find(accessToken: string): AccessToken | undefined {
    return this.access.get(accessToken);
  }

  /** The access token for events: one per user until it expires, so that 100,000 events do not issue 100,000 tokens. */
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
    const dropped = [...this.refresh].filter(([, entry]) => entry.installation === installation);
    for (const [token] of dropped) this.refresh.delete(token);
    return dropped.length;
  }

  /** After an uninstall all access tokens are unknown. Refresh tokens stay known, and are answered `invalid_client`. */
  revokeAccess(installation: Installation): void {
    for (const [token, entry] of this.access)
      if (entry.installation === installation) this.access.delete(token);
    this.forEvents.delete(installation);
  }

  private issueAccess(installation: Installation, userId: number, nowMs: number): AccessToken {
    const expiresAtMs = nowMs + installation.accessTokenSeconds * 1000;
    const access: AccessToken = { token: newToken(), installation, userId, expiresAtMs };
    this.access.set(access.token, access);
    return access;
  }
}
