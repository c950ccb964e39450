import { LRUCache } from 'lru-cache';

const FIRST_MS = 30_000;
const MAX_MS = 3_600_000;
/** Portals that failed lately; the one that failed first is forgotten beyond it. */
const MAX_PORTALS = 10_000;

/** When each failed portal may be tried again: after 30 s, then doubled each time, an hour at most. */
export class Backoff {
  private readonly failed = new LRUCache<string, { times: number; dueAt: number }>({ max: MAX_PORTALS });

  constructor(private readonly now: () => number = Date.now) {}

  isDue(memberId: string): boolean {
    return this.now() >= (this.failed.get(memberId)?.dueAt ?? 0);
  }

  fail(memberId: string): void {
    const times = (this.failed.get(memberId)?.times ?? 0) + 1;
    const waitMs = Math.min(MAX_MS, FIRST_MS * 2 ** (times - 1));
    this.failed.set(memberId, { times, dueAt: this.now() + waitMs });
  }

  clear(memberId: string): void {
    this.failed.delete(memberId);
  }
}
