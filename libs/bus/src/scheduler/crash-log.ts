/**
 * What a process writes down before it begins with messages that were in a process's hands before, so that the next one
 * knows when it died of them. The delivery count alone does not tell: it rises for all that a process had fetched, at
 * every deployment.
 */
export interface CrashLog {
  /**
   * A batch of the portal begins.
   * @returns how many began before it and did not end
   */
  begin(memberId: string): Promise<number>;
  /**
   * Of a batch that has begun: it has one entry.
   * @returns how often this entity's batch of one began before, in a row, and did not end
   */
  beginSolo(memberId: string, entity: string): Promise<number>;
  /** The batch has ended, whatever came of it. @param done nothing suspicious is left: all of the portal is forgotten */
  end(memberId: string, done: boolean): Promise<void>;
}

/** How many batches of one message may begin and not end before it is taken for what kills the process. */
export const MAX_SOLO_CRASHES = 3;

const SHRINK_FACTOR = 8;
const GROWTH_FACTOR = 2;

/**
 * How many entries the next batch of a suspect lane may have: an eighth for each that did not end, so that the culprit
 * is soon alone; twice as many for each that has ended since, so that the innocent do not stay alone.
 */
export function suspectLimit(maxEntries: number, unfinished: number, ended: number): number {
  const limit = Math.floor(maxEntries / SHRINK_FACTOR ** unfinished) || 1;
  return Math.min(maxEntries, limit * GROWTH_FACTOR ** ended);
}

/** Begins again and again, alone, and is never heard of again. For a person to look at. */
export class PoisonError extends Error {
  override readonly name = 'PoisonError';
  readonly code = 'poison';
  readonly recovery = 'never';
  constructor(starts: number) {
    super(`The process ended ${starts} times while it handled this event, and nothing beside it`);
  }
}

/** Before messages that a process may have died of are begun with, that is written down; here it could not be. */
export class CrashLogUnavailableError extends Error {
  override readonly name = 'CrashLogUnavailableError';
  readonly code = 'TRIALS_UNAVAILABLE';
  readonly recovery = 'wait';
  constructor(options: { cause: unknown }) {
    super('It could not be written down that suspicious events begin', options);
  }
}
