import type { Log } from '@relay/platform';

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
const MAX_SOLO_CRASHES = 3;

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
class PoisonError extends Error {
  override readonly name = 'PoisonError';
  readonly code = 'poison';
  readonly recovery = 'never';
  constructor(crashes: number) {
    super(`The process crashed ${crashes} times while this event alone was in flight`);
  }
}

/** A batch with suspect messages must be recorded before it begins, and the record could not be written. */
export class CrashLogUnavailableError extends Error {
  override readonly name = 'CrashLogUnavailableError';
  readonly code = 'CRASH_LOG_UNAVAILABLE';
  readonly recovery = 'wait';
  constructor(options: { cause: unknown }) {
    super('The crash log cannot be written, so a batch of suspect events does not begin', options);
  }
}

/** What the detector reads of a lane. */
interface ProbedLane {
  readonly memberId: string;
  readonly isSuspect: boolean;
}

interface BegunBatch {
  readonly memberId: string;
  readonly entries: readonly { readonly view: { readonly entity: string } }[];
}

/** A batch whose process crashed before runs exclusively, so that a further crash can be attributed to it. */
const UNFINISHED_BEFORE_EXCLUSIVE = 2;

/** How to run one batch of redelivered messages, whose end must be recorded. */
export interface PoisonProbe {
  /** Maximum entries of the batch, for a handler with this maximum. */
  limit(maxEntries: number): number;
  /** Nothing else may be in flight in this process meanwhile. */
  mustRunExclusively(batch: BegunBatch): boolean;
  /** Call before an exclusive batch begins. @returns why it must not begin. @throws CrashLogUnavailableError */
  poison(batch: BegunBatch): Promise<PoisonError | undefined>;
  /** Call after the entries that have to wait are back in their lane. */
  end(options?: { isPoison?: boolean }): Promise<void>;
}

/** Finds the one event that crashes the process, among thousands that were in flight with it. */
export class PoisonDetector {
  /** By portal: batches that have ended since the last one that did not. */
  private readonly ended = new Map<string, number>();
  /** Portals whose last batch ended without that being recorded. */
  private readonly unwritten = new Set<string>();

  constructor(
    private readonly crashLog: CrashLog,
    private readonly log: Log,
  ) {}

  /** @returns undefined for a lane without suspect messages. @throws CrashLogUnavailableError */
  async begin(lane: ProbedLane): Promise<PoisonProbe | undefined> {
    if (!lane.isSuspect) return undefined;
    const { memberId } = lane;
    // This process is alive: that batch crashed nothing, and three of them must not look like three crashes.
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

  private async poison({ memberId, entries: [entry] }: BegunBatch): Promise<PoisonError | undefined> {
    if (!entry) return undefined;
    const crashes = await available(this.crashLog.beginSolo(memberId, entry.view.entity));
    return crashes >= MAX_SOLO_CRASHES ? new PoisonError(crashes) : undefined;
  }

  /** An end that cannot be recorded now is recorded before the portal's next suspect batch begins. */
  private async end(memberId: string, done: boolean): Promise<void> {
    try {
      await this.writeEnd(memberId, done);
    } catch (error) {
      this.unwritten.add(memberId);
      this.log.warn(
        { event: 'consumer.crash_log.unwritable', memberId, err: error },
        'the end of a batch could not be written to the crash log',
      );
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
