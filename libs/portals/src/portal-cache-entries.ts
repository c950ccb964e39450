import { LruMap } from './lru-map.js';
import type { KnownPortal } from './portal-loader.js';

export interface CachedPortal {
  /** undefined: unknown to the database (negative entry). */
  portal: KnownPortal | undefined;
  /** When its read began; -Infinity for an expired entry. */
  readAtMs: number;
}

const KNOWN_LIMIT = 50_000;
/** Separate limit for negative entries, so that made-up member ids cannot evict existing portals. */
const UNKNOWN_LIMIT = 10_000;

/** Positive and negative entries in separate bounded LRU maps. */
export class PortalCacheEntries {
  private readonly known = new LruMap<string, CachedPortal>(KNOWN_LIMIT);
  private readonly unknown = new LruMap<string, CachedPortal>(UNKNOWN_LIMIT);

  get(memberId: string): CachedPortal | undefined {
    return this.known.get(memberId) ?? this.unknown.get(memberId);
  }

  put(memberId: string, portal: KnownPortal | undefined, readAtMs: number): void {
    const [its, other] = portal ? [this.known, this.unknown] : [this.unknown, this.known];
    other.delete(memberId);
    its.set(memberId, { portal, readAtMs });
  }

  /** Expires entries. Their values stay as a fallback while the database is unavailable. */
  expire(memberId: string | undefined): void {
    const entry = memberId === undefined ? undefined : this.get(memberId);
    if (entry) entry.readAtMs = -Infinity;
    if (memberId !== undefined) return;
    for (const entries of [this.known, this.unknown]) {
      for (const each of entries.values()) each.readAtMs = -Infinity;
    }
  }
}
