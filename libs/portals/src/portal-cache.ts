import { setTimeout as delay } from 'node:timers/promises';
import { PortalStoreUnavailableError } from './errors.js';
import type { Notifier } from './notifier.js';
import { PortalCacheEntries, type CachedPortal } from './portal-cache-entries.js';
import { PortalLoader, type KnownPortal, type LoadPortals } from './portal-loader.js';

/** While notifications arrive, the TTL only bounds the effect of a lost notification. */
const ANNOUNCED_TTL_MS = 60_000;
const UNANNOUNCED_TTL_MS = 2_000;
/** Minimum interval of `fresh` reads of one portal. */
const FRESH_EVERY_MS = 1_000;
/** Maximum wait for a revalidation before the stale entry is used; Bitrix24 calls slow handlers less often. */
const TIMEOUT_MS = 250;
/** After a failed read only the cache is used for this time, instead of a failing read per event. */
const PAUSE_AFTER_FAILURE_MS = 500;

/** Bitrix24 ids have 32 hex digits. Other strings are not queried; a NUL would make the query fail. */
const MEMBER_ID_SHAPE = /^[\w.:-]{1,64}$/;

/** In-memory cache of the portals, invalidated by notifications and a TTL. */
export class PortalCache {
  private readonly cache = new PortalCacheEntries();
  private readonly reader: PortalLoader;
  private readonly reading = new Map<string, Promise<KnownPortal | undefined>>();
  private readonly now: () => number;
  private failed: { atMs: number; cause: unknown } = { atMs: -Infinity, cause: undefined };
  private unsubscribe: (() => void) | undefined;
  private readonly listening: (() => void)[] = [];

  constructor(
    private readonly options: {
      readPortals: LoadPortals;
      notifier: Pick<Notifier, 'on' | 'isListening'>;
      now?: () => number;
      readTimeoutMs?: number;
    },
  ) {
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
    this.unsubscribe ??= this.options.notifier.on('portals', (changed) => this.expireLocally(changed));

    const cached = this.cache.get(memberId);
    if (cached && this.ageMs(cached) < (fresh ? FRESH_EVERY_MS : this.ttlMs())) return cached.portal;
    if (cached?.portal && !fresh) return await this.revalidate(memberId, cached.portal);
    try {
      return await this.read(memberId);
    } catch (error) {
      throw new PortalStoreUnavailableError(memberId, error);
    }
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
    this.listening.push(this.options.notifier.on('portals', tell));
  }

  /** Unsubscribes from notifications. */
  close(): void {
    this.unsubscribe?.();
    for (const end of this.listening.splice(0)) end();
  }

  private ttlMs(): number {
    return this.options.notifier.isListening() ? ANNOUNCED_TTL_MS : UNANNOUNCED_TTL_MS;
  }

  private ageMs({ readAtMs }: CachedPortal): number {
    return this.now() - readAtMs;
  }

  /** Revalidates the entry; returns the stale one after a timeout or an error. */
  private async revalidate(memberId: string, known: KnownPortal): Promise<KnownPortal | undefined> {
    const timer = new AbortController();
    const timeout = delay(TIMEOUT_MS, known, { signal: timer.signal });
    timeout.catch(() => undefined); // Aborted below, when the database was faster.
    try {
      return await Promise.race([this.read(memberId), timeout]);
    } catch {
      return known;
    } finally {
      timer.abort();
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
      if (isStillWanted()) this.cache.put(memberId, portal, readAtMs);
      return portal;
    } catch (cause) {
      this.failed = { atMs: this.now(), cause };
      throw cause;
    } finally {
      if (isStillWanted()) this.reading.delete(memberId);
    }
  }

  private expireLocally(changed: string | undefined): void {
    this.cache.expire(changed);
    if (changed === undefined) this.reading.clear();
    else this.reading.delete(changed);
  }
}
