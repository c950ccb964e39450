import type { DeadLetterRecord } from './dead-letter.js';

/** One consumer's dead letters on either bus. Whoever uses it holds the operators' lock. */
export interface DeadLetterStore {
  /**
   * Shows every letter to `pick`, the oldest first, and hands those that it wants to `work`. All others, and those that
   * `work` leaves, lie there afterwards as before. Contents are in memory for those picked alone.
   * @throws NoSuchConsumerError
   */
  scan<T>(
    consumer: string,
    pick: LetterSelector,
    work: (picked: LetterSelection, sight: ScanResult) => Promise<T>,
  ): Promise<T>;
}

/** `handle`: to be dropped later; `content`: to be replayed, its content is kept as well. */
export type LetterSelector = (letter: DeadLetterRecord) => 'no' | 'handle' | 'content';

export interface LetterSelection {
  readonly count: number;
  /** Back to its consumer, as if it had never failed: stored there before it is gone here. Each index once. */
  replay(index: number): Promise<void>;
  /** All of them. */
  drop(): Promise<void>;
}

export interface ScanResult {
  /** Letters that `pick` saw. */
  examined: number;
  /** There are more than one look takes. */
  more: boolean;
}

/** What one look examines: a limit for the time and for what the broker has handed out at once. */
export const SCAN_LIMIT = 50_000;
