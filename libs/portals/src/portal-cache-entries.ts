import { LruMap } from './lru-map.js';
import type { KnownPortal } from './portal-loader.js';

export interface CachedPortal {
  /** undefined: the database does not know the member. */
  portal: KnownPortal | undefined;
  /** When its read began; -Infinity when it is known to be out of date. */
  readAtMs: number;
}

const KNOWN_LIMIT = 50_000;
/** Whoever makes up member ids fills this and no more, and never crowds out a portal that exists. */
const UNKNOWN_LIMIT = 10_000;

/** Portals that exist and members that do not, apart from each other, each bounded. */
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

  /** Keeps what is known, for when the database cannot be asked, and has it read again. */
  expire(memberId: string | undefined): void {
    const entry = memberId === undefined ? undefined : this.get(memberId);
    if (entry) entry.readAtMs = -Infinity;
    if (memberId !== undefined) return;
    for (const entries of [this.known, this.unknown]) {
      for (const each of entries.values()) each.readAtMs = -Infinity;
    }
  }
}
