import type { Log } from '@relay/platform';
import type { Receipt } from '../event-bus.js';
import type { Lane } from './lane.js';
import type { Batch, EventHandler } from './run-batch.js';
import {
  MAX_SOLO_CRASHES,
  PoisonError,
  suspectLimit,
  type CrashLog,
  CrashLogUnavailableError,
} from './crash-log.js';

/** A batch whose process died before begins alone in the process, so that its death, too, can be laid at its door. */
const UNFINISHED_BEFORE_EXCLUSIVE = 2;

/** Of one batch with messages that were in hand before: how to begin it, and that it must be ended. */
export interface PoisonProbe {
  /** Most entries of it, for a handler that takes so many. */
  limit(maxEntries: number): number;
  /** Nothing else of this process may be in hand meanwhile. */
  mustRunExclusively(batch: Batch): boolean;
  /** To be asked before a batch begins alone. @returns why it must not begin. @throws CrashLogUnavailableError */
  poison(batch: Batch): Promise<PoisonError | undefined>;
  /** After what has to wait is in its lane again. */
  end(options?: { isPoison?: boolean }): Promise<void>;
}

/** Finds the one event that ends the process, among thousands that were in hand with it. */
export class PoisonDetector {
  /** By portal: batches that have ended since the last one that did not. */
  private readonly ended = new Map<string, number>();
  /** Portals whose last batch has ended, which could not be written down. */
  private readonly unwritten = new Set<string>();

  constructor(
    private readonly crashLog: CrashLog,
    private readonly log: Log,
  ) {}

  /** @returns undefined for a lane that nothing is suspected of. @throws CrashLogUnavailableError */
  async begin(lane: Lane<EventHandler, Receipt>): Promise<PoisonProbe | undefined> {
    if (!lane.isSuspect) return undefined;
    const { memberId } = lane;
    // This process lives: nothing died of that batch, and three of them must not look like three deaths.
    if (this.unwritten.has(memberId)) await available(this.writeEnd(memberId, false));
    const unfinished = await available(this.crashLog.begin(memberId));
    const ended = this.ended.get(memberId) ?? 0;
    return {
      limit: (maxEntries) => suspectLimit(maxEntries, unfinished, ended),
      mustRunExclusively: ({ entries }) => entries.length === 1 && unfinished >= UNFINISHED_BEFORE_EXCLUSIVE,
      poison: (batch) => this.poison(batch),
      end: async ({ isPoison = false } = {}) => {
        const done = isPoison || !lane.isSuspect;
        if (done) this.ended.delete(memberId);
        else this.ended.set(memberId, ended + 1);
        await this.end(memberId, done);
      },
    };
  }

  private async poison({ memberId, entries: [entry] }: Batch): Promise<PoisonError | undefined> {
    if (!entry) return undefined;
    const deaths = await available(this.crashLog.beginSolo(memberId, entry.view.entity));
    return deaths >= MAX_SOLO_CRASHES ? new PoisonError(deaths) : undefined;
  }

  /** What is not written now is written before the portal's next suspicious batch begins. */
  private async end(memberId: string, done: boolean): Promise<void> {
    try {
      await this.writeEnd(memberId, done);
    } catch (error) {
      this.unwritten.add(memberId);
      this.log.warn({ memberId, err: error }, 'that a batch has ended could not be written down');
    }
  }

  private async writeEnd(memberId: string, done: boolean): Promise<void> {
    await this.crashLog.end(memberId, done);
    this.unwritten.delete(memberId);
  }
}

async function available<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new CrashLogUnavailableError({ cause });
  }
}
