/**
 * Records, before a batch begins, that it contains redelivered messages, so that the next process can tell when they
 * crashed this one. The delivery count alone cannot tell: it rises at every deployment, for every message that the
 * process had prefetched.
 */
export interface CrashLog {
  /**
   * A batch of the portal begins.
   * @returns how many earlier batches began and did not end
   */
  begin(memberId: string): Promise<number>;
  /**
   * The batch that has begun has exactly one entry.
   * @returns how often in a row a batch with only this entity began before and did not end
   */
  beginSolo(memberId: string, entity: string): Promise<number>;
  /**
   * The batch has ended, whatever its result. @param done no suspect message is left: the portal's record is removed
   */
  end(memberId: string, done: boolean): Promise<void>;
}

/** After this many unfinished batches of one message, the message is taken as the cause of the crashes. */
export const MAX_SOLO_CRASHES = 3;

const SHRINK_FACTOR = 8;
const GROWTH_FACTOR = 2;

/**
 * Maximum entries of the next batch of a suspect lane: an eighth for each batch that did not end, so that the culprit
 * is soon isolated; doubled for each that has ended since, so that harmless events do not stay isolated.
 */
export function suspectLimit(maxEntries: number, unfinished: number, ended: number): number {
  const limit = Math.floor(maxEntries / SHRINK_FACTOR ** unfinished) || 1;
  return Math.min(maxEntries, limit * GROWTH_FACTOR ** ended);
}

/** A message that repeatedly began in a batch of its own and never finished. For an operator to inspect. */
export class PoisonError extends Error {
  override readonly name = 'PoisonError';
  readonly code = 'poison';
  readonly recovery = 'never';
  constructor(starts: number) {
    super(`The process ended ${starts} times while it handled this event, and nothing beside it`);
  }
}

/** A batch with suspect messages must be recorded before it begins, and the record could not be written. */
export class CrashLogUnavailableError extends Error {
  override readonly name = 'CrashLogUnavailableError';
  readonly code = 'TRIALS_UNAVAILABLE';
  readonly recovery = 'wait';
  constructor(options: { cause: unknown }) {
    super('It could not be written down that suspicious events begin', options);
  }
}
