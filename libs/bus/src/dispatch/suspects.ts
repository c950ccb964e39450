import type { Log } from '@relay/platform';
import type { Receipt } from '../event-bus.js';
import type { Lane } from './lane.js';
import type { Batch, EventHandler } from './run-batch.js';
import { lonelyDeaths, PoisonError, suspectLimit, type Trials, TrialsUnavailableError } from './trials.js';

/** A batch whose process died before begins alone in the process, so that its death, too, can be laid at its door. */
const unfinishedToBeAlone = 2;

/** Of one batch with messages that were in hand before: how to begin it, and that it must be ended. */
export interface Suspicion {
  /** Most entries of it, for a handler that takes so many. */
  limit(maxEntries: number): number;
  /** Nothing else of this process may be in hand meanwhile. */
  mustBeAlone(batch: Batch): boolean;
  /** To be asked before a batch begins alone. @returns why it must not begin. @throws TrialsUnavailableError */
  poison(batch: Batch): Promise<PoisonError | undefined>;
  /** After what has to wait is in its lane again. */
  end(options?: { isPoison?: boolean }): Promise<void>;
}

/** Finds the one event that ends the process, among thousands that were in hand with it. */
export class Suspects {
  /** By portal: batches that have ended since the last one that did not. */
  readonly #ended = new Map<string, number>();
  /** Portals whose last batch has ended, which could not be written down. */
  readonly #unwritten = new Set<string>();

  constructor(
    private readonly trials: Trials,
    private readonly log: Log,
  ) {}

  /** @returns undefined for a lane that nothing is suspected of. @throws TrialsUnavailableError */
  async begin(lane: Lane<EventHandler, Receipt>): Promise<Suspicion | undefined> {
    if (!lane.isSuspect) return undefined;
    const { memberId } = lane;
    // This process lives: nothing died of that batch, and three of them must not look like three deaths.
    if (this.#unwritten.has(memberId)) await available(this.#writeEnd(memberId, false));
    const unfinished = await available(this.trials.begin(memberId));
    const ended = this.#ended.get(memberId) ?? 0;
    return {
      limit: (maxEntries) => suspectLimit(maxEntries, unfinished, ended),
      mustBeAlone: ({ entries }) => entries.length === 1 && unfinished >= unfinishedToBeAlone,
      poison: (batch) => this.#poison(batch),
      end: async ({ isPoison = false } = {}) => {
        const done = isPoison || !lane.isSuspect;
        if (done) this.#ended.delete(memberId);
        else this.#ended.set(memberId, ended + 1);
        await this.#end(memberId, done);
      },
    };
  }

  async #poison({ memberId, entries: [entry] }: Batch): Promise<PoisonError | undefined> {
    if (!entry) return undefined;
    const deaths = await available(this.trials.alone(memberId, entry.view.entity));
    return deaths >= lonelyDeaths ? new PoisonError(deaths) : undefined;
  }

  /** What is not written now is written before the portal's next suspicious batch begins. */
  async #end(memberId: string, done: boolean): Promise<void> {
    try {
      await this.#writeEnd(memberId, done);
    } catch (error) {
      this.#unwritten.add(memberId);
      this.log.warn({ memberId, err: error }, 'that a batch has ended could not be written down');
    }
  }

  async #writeEnd(memberId: string, done: boolean): Promise<void> {
    await this.trials.end(memberId, done);
    this.#unwritten.delete(memberId);
  }
}

async function available<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new TrialsUnavailableError({ cause });
  }
}
