import { Bitrix24Error } from '@relay/bitrix24';
import { ClaimLostError } from '@relay/portals';
import { LRUCache } from 'lru-cache';

/** Maximum runs that began a moment ago. */
const MAX_QUICK = 4;
/** Longer than a round at a responsive portal takes. */
const TIMEOUT_MS = 500;
/** Maximum slow runs: each costs a socket, and nobody waits for it. Above it, only fresh portals begin. */
const MAX_SLOW = 32;
/** A portal is fresh as often as it installs and updates the application, not as often as it says so. */
const FRESH_BURST = 3;
const FRESH_EVERY_MS = 20_000;
const MAX_REMEMBERED = 10_000;

interface EventBindingQueueOptions {
  /** Must not reject. The signal: the portal is asked anew, or used up its time while others wait, or the process ends. */
  run: (memberId: string, signal: AbortSignal) => Promise<void>;
  timeoutMs?: number;
  maxSlow?: number;
}

/** A portal that waits for its run. */
interface Entry {
  memberId: string;
  signal: AbortSignal;
  ended: () => void;
}

interface Run {
  controller: AbortController;
  isFresh: boolean;
  isSlow: boolean;
  ended: Promise<void>;
}

/**
 * One run at a time per portal, fresh portals first, the newest of them before all: events before the binding are lost.
 * A slow run frees its slot for the next one and continues beside it; beyond the maximum of such runs the oldest is
 * aborted, and only fresh portals begin. One that is fresh again and again waits like all others, and half of
 * those runs are never taken by fresh portals.
 */
export class EventBindingQueue {
  private readonly fresh: Entry[] = [];
  private readonly waiting: Entry[] = [];
  /** In the order of their start. */
  private readonly running = new Map<string, Run>();
  /** When each portal's allowance of being fresh is full again. */
  private readonly freshUntilMs = new LRUCache<string, number>({ max: MAX_REMEMBERED });
  private isStopped = false;

  constructor(private readonly options: EventBindingQueueOptions) {}

  /**
   * @param isFresh a current run of this portal is outdated, and ends
   * @param signal takes the portal out of the queue, or ends its run
   * @returns resolves when the run has ended
   */
  async push(
    memberId: string,
    {
      isFresh = false,
      signal = new AbortController().signal,
    }: { isFresh?: boolean; signal?: AbortSignal } = {},
  ): Promise<void> {
    if (this.isStopped || signal.aborted) return;
    if (isFresh) this.running.get(memberId)?.controller.abort(new ClaimLostError(memberId));
    const entries = isFresh && this.mayBeFresh(memberId) ? this.fresh : this.waiting;
    await new Promise<void>((resolve) => {
      const entry: Entry = { memberId, signal, ended: resolve };
      entries.push(entry);
      signal.addEventListener('abort', () => {
        if (remove(entries, entry)) resolve();
      });
      this.startNext();
    });
  }

  /** Starts nothing more. Resolves when the running ones have ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    for (const { ended } of [...this.fresh.splice(0), ...this.waiting.splice(0)]) ended();
    await Promise.all([...this.running.values()].map(({ ended }) => ended));
  }

  private mayBeFresh(memberId: string): boolean {
    const nowMs = performance.now();
    const untilMs = Math.max(nowMs, this.freshUntilMs.get(memberId) ?? 0) + FRESH_EVERY_MS;
    if (untilMs > nowMs + FRESH_BURST * FRESH_EVERY_MS) return false;
    this.freshUntilMs.set(memberId, untilMs);
    return true;
  }

  private startNext(): void {
    while (!this.isStopped && this.count(({ isSlow }) => !isSlow) < MAX_QUICK) {
      const fresh = this.takeFresh();
      const entry = fresh ?? this.takeWaiting();
      if (entry === undefined) return;
      this.start(entry, fresh !== undefined);
    }
  }

  private takeFresh(): Entry | undefined {
    const newest = this.fresh.findLastIndex(({ memberId }) => !this.running.has(memberId));
    return newest < 0 ? undefined : this.fresh.splice(newest, 1)[0];
  }

  private takeWaiting(): Entry | undefined {
    const own = this.count(({ isFresh }) => !isFresh);
    if (this.running.size >= this.maxSlow && own >= this.maxSlow / 2) return undefined;
    const next = this.waiting.findIndex(({ memberId }) => !this.running.has(memberId));
    return next < 0 ? undefined : this.waiting.splice(next, 1)[0];
  }

  private start({ memberId, signal, ended: done }: Entry, isFresh: boolean): void {
    const controller = new AbortController();
    const slowTimer = setTimeout(() => this.makeSlow(memberId), this.options.timeoutMs ?? TIMEOUT_MS);
    // The portal has not failed: its next attempt is due at once.
    const yieldClaim = (): void => controller.abort(new ClaimLostError(memberId));
    signal.addEventListener('abort', yieldClaim);
    const ended = this.options.run(memberId, controller.signal).finally(() => {
      clearTimeout(slowTimer);
      signal.removeEventListener('abort', yieldClaim);
      this.running.delete(memberId);
      done();
      this.startNext();
    });
    this.running.set(memberId, { controller, isFresh, isSlow: false, ended });
  }

  private makeSlow(memberId: string): void {
    const run = this.running.get(memberId);
    if (run) run.isSlow = true;
    const [eldest, ...others] = this.slowRuns();
    if (others.length >= this.maxSlow) eldest?.controller.abort(new Bitrix24Error('TIMEOUT'));
    this.startNext();
  }

  private slowRuns(): Run[] {
    return [...this.running.values()].filter(
      ({ isSlow, controller }) => isSlow && !controller.signal.aborted,
    );
  }

  private count(isCounted: (run: Run) => boolean): number {
    return [...this.running.values()].filter(isCounted).length;
  }

  private get maxSlow(): number {
    return this.options.maxSlow ?? MAX_SLOW;
  }
}

/** @returns whether it was there */
function remove(entries: Entry[], entry: Entry): boolean {
  const at = entries.indexOf(entry);
  if (at >= 0) entries.splice(at, 1);
  return at >= 0;
}
