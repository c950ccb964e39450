import { Bitrix24Error } from '@relay/bitrix24';
import { ClaimLostError } from '@relay/portals';

/** Maximum runs that began a moment ago. */
const MAX_QUICK = 4;
/** Longer than a round at a responsive portal takes. */
const TIMEOUT_MS = 500;
/** Maximum slow runs: each costs a socket, and nobody waits for it. Above it, only fresh portals begin. */
const MAX_SLOW = 32;

export interface PortalQueueOptions {
  /** Must not reject. The signal: the portal was pushed as fresh again, or used up its time while others wait. */
  run: (memberId: string, signal: AbortSignal) => Promise<void>;
  timeoutMs?: number;
  maxSlow?: number;
}

interface Run {
  controller: AbortController;
  isSlow: boolean;
  ended: Promise<void>;
}

/**
 * One run at a time per portal, fresh portals first, the newest of them before all: events before the binding are lost.
 * A slow run frees its slot for the next one and continues beside it; beyond the maximum of such runs the oldest is
 * aborted, and only fresh portals begin.
 */
export class PortalQueue {
  private readonly fresh: string[] = [];
  private readonly waiting = new Set<string>();
  /** In the order of their start. */
  private readonly running = new Map<string, Run>();
  private isStopped = false;

  constructor(private readonly options: PortalQueueOptions) {}

  push(memberId: string): void {
    this.waiting.add(memberId);
    this.startNext();
  }

  /** The current run of this portal is outdated, and ends. */
  pushFresh(memberId: string): void {
    this.running.get(memberId)?.controller.abort(new ClaimLostError(memberId));
    // Once, however often it is pushed: events of a portal can come by the thousand.
    const earlier = this.fresh.indexOf(memberId);
    if (earlier >= 0) this.fresh.splice(earlier, 1);
    this.fresh.push(memberId);
    this.startNext();
  }

  /** Starts nothing more. Resolves when the running ones have ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all([...this.running.values()].map(({ ended }) => ended));
  }

  private startNext(): void {
    while (!this.isStopped && this.count(({ isSlow }) => !isSlow) < MAX_QUICK) {
      const memberId = this.take();
      if (memberId === undefined) return;
      this.start(memberId);
    }
  }

  private take(): string | undefined {
    const newest = this.fresh.findLastIndex((memberId) => !this.running.has(memberId));
    if (newest >= 0) return this.fresh.splice(newest, 1)[0];
    if (this.running.size >= this.maxSlow) return undefined;
    for (const memberId of this.waiting) {
      if (this.running.has(memberId)) continue;
      this.waiting.delete(memberId);
      return memberId;
    }
    return undefined;
  }

  private start(memberId: string): void {
    const controller = new AbortController();
    const patience = setTimeout(() => this.makeSlow(memberId), this.options.timeoutMs ?? TIMEOUT_MS);
    const ended = this.options.run(memberId, controller.signal).finally(() => {
      clearTimeout(patience);
      this.running.delete(memberId);
      this.startNext();
    });
    this.running.set(memberId, { controller, isSlow: false, ended });
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
