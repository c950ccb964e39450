import { timeout, TimeoutStrategy } from 'cockatiel';
import { LRUCache } from 'lru-cache';
import { PortalStoreUnavailableError } from '../database/errors.js';
import type { PostgresListener } from '../database/postgres-listener.js';
import { PortalLoader, type KnownPortal, type LoadPortals } from './portal-loader.js';

/** While notifications arrive, the TTL only bounds the effect of a lost notification. */
const ANNOUNCED_TTL_MS = 60_000;
const UNANNOUNCED_TTL_MS = 2_000;
/** Minimum interval of `fresh` reads of one portal. */
const FRESH_EVERY_MS = 1_000;
/** Maximum wait for a revalidation before the stale entry is used; Bitrix24 calls slow handlers less often. */
const REVALIDATION = timeout(250, TimeoutStrategy.Aggressive);
/** After a failed read only the cache is used for this time, instead of a failing read per event. */
const PAUSE_AFTER_FAILURE_MS = 500;

/** Bitrix24 ids have 32 hex digits. Other strings are not queried; a NUL would make the query fail. */
const MEMBER_ID_SHAPE = /^[\w.:-]{1,64}$/;

const DEFAULT_MAX_PORTALS = 50_000;
const DEFAULT_MAX_BYTES = 50_000_000;
/** Separate limit for negative entries, so that made-up member ids cannot evict existing portals. */
const MAX_UNKNOWN = 10_000;

interface CachedPortal {
  /** undefined: unknown to the database (negative entry). */
  portal: KnownPortal | undefined;
  /** When its read began; -Infinity for an expired entry. */
  readAtMs: number;
}

/** In-memory cache of the portals, invalidated by notifications and a TTL; the least recently used are evicted. */
export class PortalCache {
  private readonly known: LRUCache<string, CachedPortal>;
  private readonly unknown = new LRUCache<string, CachedPortal>({ max: MAX_UNKNOWN });
  private readonly reader: PortalLoader;
  private readonly reading = new Map<string, Promise<KnownPortal | undefined>>();
  private readonly now: () => number;
  private failed: { atMs: number; cause: unknown } = { atMs: -Infinity, cause: undefined };
  private unsubscribe: (() => void) | undefined;
  private readonly listening: (() => void)[] = [];

  constructor(
    private readonly options: {
      readPortals: LoadPortals;
      postgresListener: Pick<PostgresListener, 'on' | 'isListening'>;
      now?: () => number;
      readTimeoutMs?: number;
      maxPortals?: number;
      maxBytes?: number;
    },
  ) {
    this.known = new LRUCache({
      max: options.maxPortals ?? DEFAULT_MAX_PORTALS,
      maxSize: options.maxBytes ?? DEFAULT_MAX_BYTES,
      sizeCalculation: estimateBytes,
    });
    this.reader = new PortalLoader(options.readPortals, options.readTimeoutMs);
    this.now = options.now ?? (() => performance.now());
  }

  /**
   * The portal, in any state, or undefined for an unknown member.
   * `fresh` reads the database, unless that was done within the last second, and does not fall back to the cache.
   * Otherwise the cached entry is returned while the database is unavailable.
   * @throws PortalStoreUnavailableError when the database is unavailable, and nothing is cached or `fresh` is set
   */
  async find(memberId: string, { fresh = false } = {}): Promise<KnownPortal | undefined> {
    if (!MEMBER_ID_SHAPE.test(memberId)) return undefined;
    this.unsubscribe ??= this.options.postgresListener.on('portals', (changed) =>
      this.expireLocally(changed),
    );

    const cached = this.cached(memberId);
    if (cached && this.ageMs(cached) < (fresh ? FRESH_EVERY_MS : this.ttlMs())) return cached.portal;
    if (cached?.portal && !fresh) return await this.revalidate(memberId, cached.portal);
    try {
      return await this.read(memberId);
    } catch (error) {
      throw new PortalStoreUnavailableError(memberId, error);
    }
  }

  /** The portal if it is cached and needs no revalidation; for callers that would rather not await. */
  findCached(memberId: string): KnownPortal | undefined {
    const cached = this.known.get(memberId);
    return cached && this.ageMs(cached) < this.ttlMs() ? cached.portal : undefined;
  }

  /** Expires the entry, for a caller that has just changed the portal: the notification arrives later. */
  expire(memberId: string): void {
    this.expireLocally(memberId);
  }

  /**
   * Calls the listener on every notified change of a portal, until `close`. It must not throw. Notifications are lost
   * while the connection is down.
   */
  onChange(listener: (memberId: string) => void): void {
    const tell = (changed: string | undefined): void => {
      if (changed !== undefined) listener(changed);
    };
    this.listening.push(this.options.postgresListener.on('portals', tell));
  }

  /** Unsubscribes from notifications. */
  close(): void {
    this.unsubscribe?.();
    for (const end of this.listening.splice(0)) end();
  }

  private ttlMs(): number {
    return this.options.postgresListener.isListening() ? ANNOUNCED_TTL_MS : UNANNOUNCED_TTL_MS;
  }

  private ageMs({ readAtMs }: CachedPortal): number {
    return this.now() - readAtMs;
  }

  /** Revalidates the entry; returns the stale one after a timeout or an error. */
  private async revalidate(memberId: string, known: KnownPortal): Promise<KnownPortal | undefined> {
    try {
      return await REVALIDATION.execute(() => this.read(memberId));
    } catch {
      return known;
    }
  }

  /** One read of a portal at a time, shared by all concurrent callers. */
  private read(memberId: string): Promise<KnownPortal | undefined> {
    const running = this.reading.get(memberId);
    if (running) return running;
    if (this.now() - this.failed.atMs < PAUSE_AFTER_FAILURE_MS) return Promise.reject(this.failed.cause);

    const reading = this.readAndKeep(memberId, () => this.reading.get(memberId) === reading);
    this.reading.set(memberId, reading);
    return reading;
  }

  private async readAndKeep(
    memberId: string,
    isStillWanted: () => boolean,
  ): Promise<KnownPortal | undefined> {
    const readAtMs = this.now();
    try {
      const portal = await this.reader.load(memberId);
      // A read that was in flight during a change may have returned the old state.
      if (isStillWanted()) this.keep(memberId, { portal, readAtMs });
      return portal;
    } catch (cause) {
      this.failed = { atMs: this.now(), cause };
      throw cause;
    } finally {
      if (isStillWanted()) this.reading.delete(memberId);
    }
  }

  private cached(memberId: string): CachedPortal | undefined {
    return this.known.get(memberId) ?? this.unknown.get(memberId);
  }

  private keep(memberId: string, entry: CachedPortal): void {
    const [its, other] = entry.portal ? [this.known, this.unknown] : [this.unknown, this.known];
    other.delete(memberId);
    its.set(memberId, entry);
  }

  /** Expires entries. Their values stay as a fallback while the database is unavailable. */
  private expireLocally(changed: string | undefined): void {
    if (changed === undefined) {
      for (const entry of [...this.known.values(), ...this.unknown.values()]) entry.readAtMs = -Infinity;
      this.reading.clear();
    } else {
      const entry = this.cached(changed);
      if (entry) entry.readAtMs = -Infinity;
      this.reading.delete(changed);
    }
  }
}

/** Of the heap, roughly: an entry's objects, its hashes, and its settings, which operators may make long. */
function estimateBytes({ portal }: CachedPortal): number {
  if (!portal) return 1;
  return 500 + 250 * portal.tokenHashes.length + 4 * JSON.stringify(portal.settings).length;
}
