import type { DeadLetterStore } from './dead-letter-store.js';
import {
  toDeadLetter,
  matchesFilter,
  toDeadLetterDetail,
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterDetail,
  type DeadLetterRecord,
} from './dead-letter.js';
import type { OperatorLock } from './operator-lock.js';
import { ReplayRateLimiter } from './replay-rate-limiter.js';

export interface LetterList {
  /** The oldest matches, at most as many as requested. */
  letters: DeadLetter[];
  /** All matches within one scan. */
  matching: number;
  /** False: there are more letters than one scan examines. */
  complete: boolean;
}

export interface ReplayPage {
  /** Letters replayed or dropped in this round. */
  letters: number;
  /** No match is left within one scan; else the next round continues. */
  done: boolean;
  /** False: there are more letters than one scan examines. */
  complete: boolean;
}

export interface ReplayOptions {
  /** Letters per second. */
  rate: number;
  /** Maximum letters in this round. */
  limit: number;
  /** Approximate maximum duration of the round, in milliseconds. */
  forMs: number;
}

/** The contents of one round are in memory at once. */
const MAX_REPLAY_LETTERS = 1_000;
const MAX_REPLAY_BYTES = 32 * 1024 * 1024;

/** The operations on dead letters, in rounds: each ends in bounded time, however many letters there are. */
export class DeadLetters {
  constructor(
    private readonly store: DeadLetterStore,
    private readonly lock: OperatorLock,
  ) {}

  /** @throws NoSuchConsumerError, OperationInProgressError */
  async list(consumer: string, filter: DeadLetterFilter, limit: number): Promise<LetterList> {
    const letters: DeadLetter[] = [];
    let matching = 0;
    const pick = (stored: DeadLetterRecord): 'no' => {
      const letter = toDeadLetter(stored);
      if (!matchesFilter(letter, filter)) return 'no';
      matching += 1;
      if (letters.length < limit) letters.push(letter);
      return 'no';
    };
    return this.lock.hold(consumer, () =>
      this.store.scan(consumer, pick, async (_, { more }) => ({ letters, matching, complete: !more })),
    );
  }

  /** @throws NoSuchConsumerError, OperationInProgressError */
  async show(consumer: string, id: string): Promise<DeadLetterDetail | undefined> {
    let shown: DeadLetterDetail | undefined;
    const pick = (stored: DeadLetterRecord): 'no' => {
      if (stored.id === id) shown ??= toDeadLetterDetail(stored);
      return 'no';
    };
    return this.lock.hold(consumer, () => this.store.scan(consumer, pick, async () => shown));
  }

  /**
   * One round of a replay. A letter that dies again is appended behind the others: pass `until`, or the replay never
   * ends.
   * @throws NoSuchConsumerError, OperationInProgressError, BusUnavailableError; letters replayed before stay replayed
   */
  async replay(consumer: string, filter: DeadLetterFilter, options: ReplayOptions): Promise<ReplayPage> {
    const { rate, forMs } = options;
    const limit = Math.min(options.limit, MAX_REPLAY_LETTERS, Math.max(1, Math.ceil((rate * forMs) / 1_000)));
    const room = new ReplayBudget(filter, limit);
    const pick = (stored: DeadLetterRecord): 'no' | 'content' => (room.takes(stored) ? 'content' : 'no');
    return this.lock.hold(consumer, () =>
      this.store.scan(consumer, pick, async (picked, { more }) => {
        const rateLimiter = new ReplayRateLimiter(rate);
        const deadline = performance.now() + forMs;
        let letters = 0;
        while (letters < picked.count && performance.now() < deadline) {
          await rateLimiter.admit();
          await picked.replay(letters);
          letters += 1;
        }
        // A following round keeps the rate of this one.
        await rateLimiter.idle();
        const done = letters === picked.count && !room.leftAny && !(more && letters > 0);
        return { letters, done, complete: !more };
      }),
    );
  }

  /** One round of deletion. @throws NoSuchConsumerError, OperationInProgressError */
  async drop(consumer: string, filter: DeadLetterFilter, limit: number): Promise<ReplayPage> {
    const room = new ReplayBudget(filter, limit, Infinity);
    const pick = (stored: DeadLetterRecord): 'no' | 'handle' => (room.takes(stored) ? 'handle' : 'no');
    return this.lock.hold(consumer, () =>
      this.store.scan(consumer, pick, async (picked, { more }) => {
        await picked.drop();
        const done = !room.leftAny && !(more && picked.count > 0);
        return { letters: picked.count, done, complete: !more };
      }),
    );
  }
}

/** Selects matching letters until the round is full. */
class ReplayBudget {
  leftAny = false;
  private letters = 0;
  private bytes = 0;

  constructor(
    private readonly filter: DeadLetterFilter,
    private readonly limit: number,
    private readonly maxBytes = MAX_REPLAY_BYTES,
  ) {}

  takes(stored: DeadLetterRecord): boolean {
    if (!matchesFilter(toDeadLetter(stored), this.filter)) return false;
    if (this.letters >= this.limit || this.bytes >= this.maxBytes) {
      this.leftAny = true;
      return false;
    }
    this.letters += 1;
    this.bytes += stored.content.length;
    return true;
  }
}
