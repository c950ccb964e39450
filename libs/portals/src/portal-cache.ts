import { setTimeout as delay } from 'node:timers/promises';
import { PortalStoreUnavailableError } from './errors.js';
import type { Notifier } from './notifier.js';
import { PortalCacheEntries, type CachedPortal } from './portal-cache-entries.js';
import { PortalLoader, type KnownPortal, type LoadPortals } from './portal-loader.js';

/** While changes are announced, the TTL only bounds what a lost announcement could do. */
const ANNOUNCED_TTL_MS = 60_000;
const UNANNOUNCED_TTL_MS = 2_000;
/** At most one read of a portal in this time, whoever asks for a fresh one. */
const FRESH_EVERY_MS = 1_000;
/** An event does not wait longer for news of a portal that is cached; Bitrix24 calls slow handlers less often. */
const TIMEOUT_MS = 250;
/** After a failed read the cache answers alone, instead of every event finding out again. */
const PAUSE_AFTER_FAILURE_MS = 500;

/** Bitrix24 makes 32 hex digits. Anything unlike an id, a NUL above all, is not worth a query, which it would break. */
const MEMBER_ID_SHAPE = /^[\w.:-]{1,64}$/;

/** Who is installed, from memory: as new as announcements and a TTL make it. */
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
   * The portal, in whatever state, or undefined when the member is unknown.
   * `fresh` reads the database again, unless that was done within the last second, and never answers from the cache
   * instead. Otherwise, while the database cannot be reached, what is cached is the answer.
   * @throws PortalStoreUnavailableError when the database cannot be reached, and nothing is cached or a fresh answer wanted
   */
  async find(memberId: string, { fresh = false } = {}): Promise<KnownPortal | undefined> {
    if (!MEMBER_ID_SHAPE.test(memberId)) return undefined;
    this.unsubscribe ??= this.options.notifier.on('portals', (changed) => this.expireLocally(changed));

    const cached = this.cache.get(memberId);
    if (cached && this.ageMs(cached) < (fresh ? FRESH_EVERY_MS : this.ttlMs())) return cached.portal;
    if (cached?.portal && !fresh) return await this.newsOf(memberId, cached.portal);
    try {
      return await this.read(memberId);
    } catch (error) {
      throw new PortalStoreUnavailableError(memberId, error);
    }
  }

  /** Forgets how old its knowledge of the portal is, for whoever has just changed it: the announcement takes its time. */
  expire(memberId: string): void {
    this.expireLocally(memberId);
  }

  /**
   * Calls the listener whenever a change of a portal is announced, until `close`. It must not throw. What was announced
   * while the connection was away is not told.
   */
  onChange(listener: (memberId: string) => void): void {
    const tell = (changed: string | undefined): void => {
      if (changed !== undefined) listener(changed);
    };
    this.listening.push(this.options.notifier.on('portals', tell));
  }

  /** Hears no more announcements. */
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

  /** What the database says, if it does so soon; else what is known already. */
  private async newsOf(memberId: string, known: KnownPortal): Promise<KnownPortal | undefined> {
    const patience = new AbortController();
    const outOfPatience = delay(TIMEOUT_MS, known, { signal: patience.signal });
    outOfPatience.catch(() => undefined); // Aborted below, when the database was faster.
    try {
      return await Promise.race([this.read(memberId), outOfPatience]);
    } catch {
      return known;
    } finally {
      patience.abort();
    }
  }

  /** One read of a portal at a time; all who ask meanwhile get its outcome. */
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
      // A read that a change overtook may have seen the time before it.
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
