import { OAuthServers, type RateLimiter, PortalClient, type Priority } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import type { DataSource } from 'typeorm';
import type { SecretBox } from './encryption/secret-box.js';
import { PortalRateLimiter } from './rate-limit/distributed-rate-limiter.js';
import { DatabaseTokenStore } from './token-refresh/database-token-store.js';
import { OAuthCircuitBreaker } from './token-refresh/oauth-circuit-breaker.js';
import { type TokenRefreshTimings, DEFAULT_TIMINGS } from './token-refresh/token-refresh.js';
import { WeakValues } from './cache/weak-values.js';
import type { PortalCircuitBreaker } from './suspension/portal-circuit-breaker.js';

/** A part of the pool: each token refresh holds a connection during the OAuth request. */
const REFRESH_CONCURRENCY = 3;
/** Of all requests to portals and OAuth servers. */
export const USER_AGENT = 'b24-relay';
const DEFAULT_MAX_IDLE_PORTALS = 1_000;

interface PortalClientsOptions {
  dataSource: DataSource;
  box: SecretBox;
  circuitBreaker: PortalCircuitBreaker;
  /** The application's client credentials; without them expired tokens cannot be refreshed, and only webhooks work. */
  oauth?: { urls: readonly string[]; clientId: string; clientSecret: string } | undefined;
  /** `host[:port]` of portals that may be plain http or private. */
  allowHosts: readonly string[];
  log: Log;
  timings?: TokenRefreshTimings | undefined;
  /** Portals whose clients are kept while nobody uses them. */
  maxIdlePortals?: number;
}

/** What all callers of one portal in this process share. */
interface PortalConnection {
  tokens: DatabaseTokenStore;
  rateLimiter: RateLimiter;
  clients: Partial<Record<Priority, PortalClient>>;
}

/**
 * REST clients whose address and credentials come from the database, never from a request. Those of the portals that were
 * used last are kept. The token store and the rate limiter of a portal are shared as long as anybody has a client of it,
 * even if that one is not kept any more.
 */
export class PortalClients {
  private readonly recent: LRUCache<string, PortalConnection>;
  private readonly tokenStores = new WeakValues<DatabaseTokenStore>();
  private readonly semaphore = pLimit(REFRESH_CONCURRENCY);
  private readonly timings: TokenRefreshTimings;
  private readonly rateLimiter: PortalRateLimiter;
  private readonly oauth: OAuthServers | undefined;

  constructor(private readonly options: PortalClientsOptions) {
    const { oauth, allowHosts, dataSource, log, timings = DEFAULT_TIMINGS } = options;
    this.timings = timings;
    this.recent = new LRUCache({ max: options.maxIdlePortals ?? DEFAULT_MAX_IDLE_PORTALS });
    this.rateLimiter = new PortalRateLimiter(dataSource, log);
    const timeoutMs = timings.requestTimeoutMs;
    // One circuit breaker per OAuth server.
    this.oauth =
      oauth &&
      new OAuthServers(
        { ...oauth, allowHosts, timeoutMs, userAgent: USER_AGENT },
        (server) => new OAuthCircuitBreaker(server),
      );
  }

  /**
   * The portal's client of this process, one for each priority. Both share the token store and the rate
   * limiter. A portal that is not installed causes an error at the first call.
   */
  for(memberId: string, { priority = 'interactive' }: { priority?: Priority } = {}): PortalClient {
    const { tokens, rateLimiter, clients } = this.portal(memberId);
    const { allowHosts, circuitBreaker } = this.options;
    clients[priority] ??= new PortalClient({
      memberId,
      tokens,
      rateLimiter,
      priority,
      allowHosts,
      userAgent: USER_AGENT,
      // As every span of ours has it.
      spanAttributes: { 'relay.member_id': memberId },
      onOutcome: async (outcome) => {
        await circuitBreaker.note(memberId, outcome);
        await tokens.note(outcome);
      },
    });
    return clients[priority];
  }

  /** The token store that the portal's clients of this process share. */
  tokens(memberId: string): DatabaseTokenStore {
    return this.portal(memberId).tokens;
  }

  /** Returns when no token refresh is in flight: an unstored pair would be lost with the process. */
  async close(): Promise<void> {
    await Promise.all(this.tokenStores.values().map((tokens) => tokens.waitForRefreshes()));
  }

  private portal(memberId: string): PortalConnection {
    let portal = this.recent.get(memberId);
    if (!portal) {
      const tokens = this.tokenStores.getOrCreate(memberId, () => this.tokenStore(memberId));
      portal = { tokens, rateLimiter: this.rateLimiter.of(memberId), clients: {} };
      this.recent.set(memberId, portal);
    }
    return portal;
  }

  private tokenStore(memberId: string): DatabaseTokenStore {
    const { dataSource, box, log, circuitBreaker } = this.options;
    const { oauth, semaphore, timings } = this;
    return new DatabaseTokenStore({
      memberId,
      dataSource,
      box,
      log,
      circuitBreaker,
      oauth,
      semaphore,
      timings,
    });
  }
}
