import type { DeadLetterShelf } from './dead-letter-shelf.js';
import {
  describeLetter,
  isMeant,
  showLetter,
  type DeadLetter,
  type DeadLetterFilter,
  type ShownLetter,
  type StoredLetter,
} from './dead-letter.js';
import type { OperatorLock } from './operator-lock.js';
import { Pace } from './pace.js';

export interface LetterList {
  /** The oldest, at most as many as asked for. */
  letters: DeadLetter[];
  /** All that match, as far as one look goes. */
  matching: number;
  /** False: more letters lie there than one look examines. */
  complete: boolean;
}

export interface CareRound {
  /** Letters replayed or dropped in this round. */
  letters: number;
  /** Nothing that matches is left, as far as one look goes; else the next round goes on. */
  done: boolean;
  /** False: more letters lie there than one look examines. */
  complete: boolean;
}

export interface ReplayOptions {
  /** Letters a second. */
  rate: number;
  /** At most in this round. */
  limit: number;
  /** How long the round may take, about. */
  forMs: number;
}

/** A round's contents are in memory at once. */
const replayLimit = 1_000;
const replayBytes = 32 * 1024 * 1024;

/** What an operator does with dead letters, in rounds: each ends in bounded time, whatever lies there. */
export class DeadLetters {
  constructor(
    private readonly shelf: DeadLetterShelf,
    private readonly lock: OperatorLock,
  ) {}

  /** @throws NoSuchConsumerError, CareBusyError */
  async list(consumer: string, filter: DeadLetterFilter, limit: number): Promise<LetterList> {
    const letters: DeadLetter[] = [];
    let matching = 0;
    const pick = (stored: StoredLetter): 'no' => {
      const letter = describeLetter(stored);
      if (!isMeant(letter, filter)) return 'no';
      matching += 1;
      if (letters.length < limit) letters.push(letter);
      return 'no';
    };
    return this.lock.hold(consumer, () =>
      this.shelf.look(consumer, pick, async (_, { more }) => ({ letters, matching, complete: !more })),
    );
  }

  /** @throws NoSuchConsumerError, CareBusyError */
  async show(consumer: string, id: string): Promise<ShownLetter | undefined> {
    let shown: ShownLetter | undefined;
    const pick = (stored: StoredLetter): 'no' => {
      if (stored.id === id) shown ??= showLetter(stored);
      return 'no';
    };
    return this.lock.hold(consumer, () => this.shelf.look(consumer, pick, async () => shown));
  }

  /**
   * One round of a replay. A letter that dies again lies behind the others: give `until`, or they are replayed for ever.
   * @throws NoSuchConsumerError, CareBusyError, BusUnavailableError; what was replayed before is
   */
  async replay(consumer: string, filter: DeadLetterFilter, options: ReplayOptions): Promise<CareRound> {
    const { rate, forMs } = options;
    const limit = Math.min(options.limit, replayLimit, Math.max(1, Math.ceil((rate * forMs) / 1_000)));
    const room = new Room(filter, limit);
    const pick = (stored: StoredLetter): 'no' | 'content' => (room.takes(stored) ? 'content' : 'no');
    return this.lock.hold(consumer, () =>
      this.shelf.look(consumer, pick, async (picked, { more }) => {
        const pace = new Pace(rate);
        const deadline = performance.now() + forMs;
        let letters = 0;
        while (letters < picked.count && performance.now() < deadline) {
          await pace.next();
          await picked.replay(letters);
          letters += 1;
        }
        // A round that follows at once keeps the pace of this one.
        await pace.rest();
        const done = letters === picked.count && !room.leftAny && !(more && letters > 0);
        return { letters, done, complete: !more };
      }),
    );
  }

  /** One round of throwing away. @throws NoSuchConsumerError, CareBusyError */
  async drop(consumer: string, filter: DeadLetterFilter, limit: number): Promise<CareRound> {
    const room = new Room(filter, limit, Infinity);
    const pick = (stored: StoredLetter): 'no' | 'handle' => (room.takes(stored) ? 'handle' : 'no');
    return this.lock.hold(consumer, () =>
      this.shelf.look(consumer, pick, async (picked, { more }) => {
        await picked.drop();
        const done = !room.leftAny && !(more && picked.count > 0);
        return { letters: picked.count, done, complete: !more };
      }),
    );
  }
}

/** Takes what is meant, until the round is full. */
class Room {
  leftAny = false;
  #letters = 0;
  #bytes = 0;

  constructor(
    private readonly filter: DeadLetterFilter,
    private readonly limit: number,
    private readonly maxBytes = replayBytes,
  ) {}

  takes(stored: StoredLetter): boolean {
    if (!isMeant(describeLetter(stored), this.filter)) return false;
    if (this.#letters >= this.limit || this.#bytes >= this.maxBytes) {
      this.leftAny = true;
      return false;
    }
    this.#letters += 1;
    this.#bytes += stored.content.length;
    return true;
  }
}
