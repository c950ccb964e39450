import {
  matchesFilter,
  toDeadLetter,
  toDeadLetterDetail,
  type DeadLetter,
  type DeadLetterDetail,
  type DeadLetterFilter,
  type DeadLetterStore,
} from './dead-letter-store.js';
import { DeadLetterCounts, DeadLetterGrouping, type DeadLetterGroups } from './dead-letter-groups.js';
import type { OperatorLock } from './operator-lock.js';
import { ReplaySession, type ReplayOptions, type ReplayPage } from './replay-session.js';

export interface DeadLetterList {
  /** The oldest matches, at most as many as requested. */
  letters: DeadLetter[];
  /** All matches among the letters that were examined. */
  matching: number;
  /** False: there are more dead letters than were examined. */
  complete: boolean;
  /** After which letter the next page begins; undefined: this is the last one. */
  next: string | undefined;
}

/** A list that is full counts the matches of so many letters, and no others. */
const COUNTED_LETTERS = 2_000;

/** A replay whose next page does not come closes after this time. */
const DEFAULT_PARKED_MS = 3_000;
/** How soon a parked replay makes way for another operator, who waits for the lock meanwhile. */
const CHECK_EVERY_MS = 200;

/** A replay that waits for its next page. */
interface ParkedReplay {
  readonly session: ReplaySession;
  readonly filter: string;
  readonly since: number;
}

/** The operations on dead letters. A replay goes in pages, each of bounded time, however many dead letters there are. */
export class DeadLetters {
  private readonly sessions = new Map<string, ReplaySession>();
  private readonly parked = new Map<string, ParkedReplay>();
  private readonly counts: DeadLetterCounts;
  private isClosed = false;

  constructor(
    private readonly store: DeadLetterStore,
    private readonly lock: OperatorLock,
    private readonly parkedMs = DEFAULT_PARKED_MS,
  ) {
    this.counts = new DeadLetterCounts((consumer, see) =>
      lock.hold(consumer, () => store.scan(consumer, see)),
    );
  }

  /**
   * One page. @param after `next` of the page before; if that letter is gone, the list begins anew
   * @throws NoSuchConsumerError, OperationInProgressError
   */
  async list(
    consumer: string,
    filter: DeadLetterFilter,
    limit: number,
    after?: string,
  ): Promise<DeadLetterList> {
    const letters: DeadLetter[] = [];
    let [examined, matching] = [0, 0];
    const { more } = await this.lock.hold(consumer, () =>
      this.store.read(consumer, { ...filter, after }, (letter) => {
        examined += 1;
        if (matchesFilter(letter, filter)) {
          matching += 1;
          if (letters.length < limit) letters.push(toDeadLetter(letter));
        }
        return letters.length < limit || examined < COUNTED_LETTERS;
      }),
    );
    const isFull = letters.length >= limit && (matching > limit || more);
    return { letters, matching, complete: !more, next: isFull ? letters.at(-1)?.id : undefined };
  }

  /**
   * What one scan finds, by cause. Without `id` and times, many letters are not scanned for each request: the result may be
   * that of an earlier scan, or a part, see `countedAt`. @throws NoSuchConsumerError, OperationInProgressError
   */
  async groups(consumer: string, filter: DeadLetterFilter): Promise<DeadLetterGroups> {
    const { id, since, until, ...rest } = filter;
    if (id === undefined && since === undefined && until === undefined)
      return this.counts.groups(consumer, rest);
    const grouping = new DeadLetterGrouping(consumer);
    const { more } = await this.lock.hold(consumer, () =>
      this.store.scan(consumer, (letter) => {
        if (matchesFilter(letter, filter)) grouping.add(letter);
      }),
    );
    return grouping.result(!more);
  }

  /** @throws NoSuchConsumerError, OperationInProgressError */
  async show(consumer: string, id: string): Promise<DeadLetterDetail | undefined> {
    let shown: DeadLetterDetail | undefined;
    await this.lock.hold(consumer, () =>
      this.store.read(consumer, { id }, (letter) => {
        if (letter.id === id) shown = toDeadLetterDetail(letter);
        return shown === undefined;
      }),
    );
    return shown;
  }

  /**
   * One page of a replay. The next page with the same filter goes on where this one ended, if it comes soon and to this
   * process, and nobody else wants to work on these dead letters; else it starts at the oldest letter again. A letter that
   * dies again is appended behind the others: pass `until`, or a later page takes it again.
   * @throws NoSuchConsumerError, OperationInProgressError, BusUnavailableError; dead letters replayed before stay replayed
   */
  async replay(consumer: string, filter: DeadLetterFilter, options: ReplayOptions): Promise<ReplayPage> {
    const session = (await this.unpark(consumer, filter)) ?? (await this.openSession(consumer, filter));
    try {
      return await session.page(options);
    } finally {
      this.counts.outdate(consumer);
      if (!this.isClosed && (await session.isUsable())) this.park(consumer, filter, session);
      else await this.closeSession(consumer, session);
    }
  }

  /** One page of deletion. @throws NoSuchConsumerError, OperationInProgressError */
  async drop(consumer: string, filter: DeadLetterFilter, limit: number): Promise<ReplayPage> {
    let [selected, isFull] = [0, false];
    const { dropped, more } = await this.lock.hold(consumer, () =>
      this.store.drop(consumer, (letter) => {
        if (!matchesFilter(letter, filter)) return false;
        if (selected === limit) isFull = true;
        else selected += 1;
        return !isFull;
      }),
    );
    this.counts.outdate(consumer);
    return { deadLetters: dropped, done: !isFull && !(more && dropped > 0), complete: !more };
  }

  /** Dead letters that a replay of this process holds, so that the bus does not count them. */
  unacknowledged(consumer: string): number {
    return this.sessions.get(consumer)?.unacknowledged ?? 0;
  }

  /** Closes the replays that wait for their next page. */
  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all([...this.parked].map(([consumer, parked]) => this.closeParked(consumer, parked)));
  }

  private async openSession(consumer: string, filter: DeadLetterFilter): Promise<ReplaySession> {
    const lock = await this.lock.acquire(consumer);
    try {
      const reader = await this.store.openReader(consumer, (letter) => matchesFilter(letter, filter));
      const session = new ReplaySession(lock, reader);
      this.sessions.set(consumer, session);
      return session;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  private park(consumer: string, filter: DeadLetterFilter, session: ReplaySession): void {
    // Left over only if its lock was lost.
    const other = this.parked.get(consumer);
    if (other) void this.closeParked(consumer, other);
    const parked = { session, filter: JSON.stringify(filter), since: performance.now() };
    this.parked.set(consumer, parked);
    this.checkLater(consumer, parked);
  }

  private checkLater(consumer: string, parked: ParkedReplay): void {
    setTimeout(() => void this.check(consumer, parked), CHECK_EVERY_MS).unref();
  }

  private async check(consumer: string, parked: ParkedReplay): Promise<void> {
    const isLate = performance.now() - parked.since >= this.parkedMs;
    const isKept = !isLate && (await parked.session.isUsable());
    // Its next page may have come meanwhile.
    if (this.parked.get(consumer) !== parked) return;
    if (isKept) this.checkLater(consumer, parked);
    else await this.closeParked(consumer, parked);
  }

  /** The replay that waits for its next page, if this is the one; any other is closed. */
  private async unpark(consumer: string, filter: DeadLetterFilter): Promise<ReplaySession | undefined> {
    const parked = this.parked.get(consumer);
    if (!parked) return undefined;
    this.parked.delete(consumer);
    const isContinued = parked.filter === JSON.stringify(filter) && (await parked.session.isUsable());
    if (isContinued) return parked.session;
    await this.closeSession(consumer, parked.session);
    return undefined;
  }

  private async closeParked(consumer: string, { session }: ParkedReplay): Promise<void> {
    this.parked.delete(consumer);
    await this.closeSession(consumer, session);
  }

  private async closeSession(consumer: string, session: ReplaySession): Promise<void> {
    await session.close();
    if (this.sessions.get(consumer) === session) this.sessions.delete(consumer);
  }
}
