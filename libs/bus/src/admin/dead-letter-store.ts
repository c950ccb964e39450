import type { DeadLetterRecord } from './dead-letter.js';

/** One consumer's dead letters on either bus. The caller holds the operator lock. */
export interface DeadLetterStore {
  /**
   * Passes every dead letter to `pick`, the oldest first, and the selected ones to `work`. All others, and those that
   * `work` does not settle, stay unchanged. Only the contents of selected letters are kept in memory.
   * @throws NoSuchConsumerError
   */
  scan<T>(
    consumer: string,
    pick: LetterSelector,
    work: (picked: LetterSelection, sight: ScanResult) => Promise<T>,
  ): Promise<T>;
}

/** `handle`: select without content, to drop it; `content`: select with content, to replay it. */
export type LetterSelector = (letter: DeadLetterRecord) => 'no' | 'handle' | 'content';

export interface LetterSelection {
  readonly count: number;
  /** Returns it to its consumer with fresh retry metadata: stored there before it is deleted here. Each index once. */
  replay(index: number): Promise<void>;
  /** Deletes all of the selection. */
  drop(): Promise<void>;
}

export interface ScanResult {
  /** Letters that `pick` examined. */
  examined: number;
  /** There are more than one scan examines. */
  more: boolean;
}

/** Maximum letters per scan: bounds the time and the number of unacknowledged messages on the broker. */
export const SCAN_LIMIT = 50_000;
