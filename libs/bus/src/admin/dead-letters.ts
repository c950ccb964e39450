import {
  matchesFilter,
  summarize,
  toDeadLetter,
  toDeadLetterDetail,
  type DeadLetter,
  type DeadLetterDetail,
  type DeadLetterFilter,
  type DeadLetterStore,
} from './dead-letter-store.js';
import { DeadLetterGrouping, type DeadLetterGroups } from './dead-letter-groups.js';
import { DEFAULT_FEW_LETTERS, DeadLetterScans, type DeadLetterScansOptions } from './dead-letter-scans.js';
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
  /** As of when; null: they are being read for the first time, and these are those so far. */
  countedAt: Date | null;
}

/** A list that is full counts the matches of so many letters, and no others. */
const COUNTED_LETTERS = 2_000;

/** A replay whose next page does not come closes after this time. */
const DEFAULT_PARKED_MS = 3_000;
/** How soon a parked replay makes way for another operator, who waits for the lock meanwhile. */
const CHECK_EVERY_MS = 200;

export interface DeadLettersOptions extends Partial<DeadLetterScansOptions> {
  parkedMs?: number;
}

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
  private readonly scans: DeadLetterScans;
  private isClosed = false;

  constructor(
    private readonly store: DeadLetterStore,
    private readonly lock: OperatorLock,
    private readonly options: DeadLettersOptions = {},
  ) {
    const { inPlace } = store;
    this.scans = new DeadLetterScans(
      async (consumer, see, rest) => {
        if (inPlace) {
          const isWanted = async (): Promise<boolean> => this.isClosed;
          return store.scan(consumer, see, () => rest(isWanted));
        }
        const held = await lock.acquire(consumer);
        const isWanted = (): Promise<boolean> => held.isWanted().catch(() => true);
        try {
          return await store.scan(consumer, see, async () => !this.isClosed && rest(isWanted));
        } finally {
          await held.release();
        }
      },
      {
        inPlace: inPlace && {
          listIds: (...list) => inPlace.listIds(...list),
          readIds: (consumer, ids, see, rest) =>
            inPlace.readIds(consumer, ids, see, async () => !this.isClosed && rest()),
        },
        ...options,
      },
    );
  }

  /**
   * One page. Many letters are not read for each list: it may be of an earlier scan, or a part, see `countedAt`.
   * @param after `next` of the page before; if that letter is gone, the list begins anew
   * @param asOf a scan that began before is not enough: another one is made, of which a later list is had
   * @throws NoSuchConsumerError, OperationInProgressError
   */
  async list(
    consumer: string,
    filter: DeadLetterFilter,
    limit: number,
    { after, asOf }: { after?: string | undefined; asOf?: Date | undefined } = {},
  ): Promise<DeadLetterList> {
    if (await this.needsScan(consumer)) {
      const { index, ended, beganAt } = await this.scans.find(
        consumer,
        (sofar) => sofar.index?.fills(filter, limit, after) ?? false,
        later(filter.since, asOf),
      );
      if (index) {
        const isWhole = ended !== undefined && !ended.more;
        return { ...index.list(filter, limit, after), complete: isWhole, countedAt: ended ? beganAt : null };
      }
    }
    const countedAt = new Date();
    const letters: DeadLetter[] = [];
    let [examined, matching] = [0, 0];
    const { more } = await this.reading(consumer, () =>
      this.store.read(consumer, { ...filter, after }, (letter) => {
        const summary = summarize(letter);
        examined += 1;
        if (matchesFilter(summary, filter)) {
          matching += 1;
          if (letters.length < limit) letters.push(toDeadLetter(summary));
        }
        return letters.length < limit || examined < COUNTED_LETTERS;
      }),
    );
    const isFull = letters.length >= limit && (matching > limit || more);
    const next = isFull ? letters.at(-1)?.id : undefined;
    return { letters, matching, complete: !more, next, countedAt };
  }

  /**
   * What one scan finds, by cause. Many letters are not scanned for each request: the result may be that of an earlier scan, or a
   * part, see `countedAt`. @throws NoSuchConsumerError, OperationInProgressError
   */
  async groups(consumer: string, filter: DeadLetterFilter): Promise<DeadLetterGroups> {
    const { id, since, until, ...rest } = filter;
    if (id === undefined && since === undefined && until === undefined)
      return this.scans.groups(consumer, rest);
    const grouping = new DeadLetterGrouping(consumer);
    // A time leaves out few letters or many: those found so far, rather than a second scan beside the first.
    if (await this.needsScan(consumer, id === undefined)) {
      const { index, ended, beganAt } = await this.scans.find(consumer, () => false, since);
      for (const letter of index?.matching(filter) ?? []) grouping.add(letter);
      if (index) return grouping.result(ended !== undefined && !ended.more, {}, ended ? beganAt : null);
    }
    const { more } = await this.reading(consumer, () =>
      this.store.read(consumer, filter, (letter) => {
        const summary = summarize(letter);
        if (matchesFilter(summary, filter)) grouping.add(summary);
        return true;
      }),
    );
    return grouping.result(!more);
  }

  /** @throws NoSuchConsumerError, OperationInProgressError */
  async show(consumer: string, id: string): Promise<DeadLetterDetail | undefined> {
    let shown = this.scans.known(consumer)?.index?.show(id);
    if (shown || (await this.isUnknown(consumer, id))) return shown;
    await this.reading(consumer, () =>
      this.store.read(consumer, { id }, (letter) => {
        if (letter.id === id) shown = toDeadLetterDetail(summarize(letter), letter.content);
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
    const gone: string[] = [];
    let isKnown = false;
    try {
      const page = await session.page(options, (id) => gone.push(id));
      isKnown = true;
      return page;
    } finally {
      this.scans.forget(consumer, isKnown ? gone : undefined);
      if (!this.isClosed && (await session.isUsable())) this.park(consumer, filter, session);
      else await this.closeSession(consumer, session);
    }
  }

  /** One page of deletion. @throws NoSuchConsumerError, OperationInProgressError */
  async drop(consumer: string, filter: DeadLetterFilter, limit: number): Promise<ReplayPage> {
    const selected: string[] = [];
    let isFull = false;
    let isKnown = false;
    try {
      const { dropped, more } = await this.lock.hold(consumer, () =>
        this.store.drop(consumer, (letter) => {
          if (!matchesFilter(summarize(letter), filter)) return false;
          if (selected.length === limit) isFull = true;
          else selected.push(letter.id);
          return !isFull;
        }),
      );
      isKnown = true;
      return { deadLetters: dropped, done: !isFull && !(more && dropped > 0), complete: !more };
    } finally {
      this.scans.forget(consumer, isKnown ? selected : undefined);
    }
  }

  /** Dead letters that a replay or a scan of this process holds, so that the bus does not count them. */
  unacknowledged(consumer: string): number {
    return (this.sessions.get(consumer)?.unacknowledged ?? 0) + this.store.unacknowledged(consumer);
  }

  /** Closes the replays that wait for their next page, and ends the scans. */
  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all([
      ...[...this.parked].map(([consumer, parked]) => this.closeParked(consumer, parked)),
      this.scans.settled(),
    ]);
  }

  private reading<T>(consumer: string, work: () => Promise<T>): Promise<T> {
    return this.store.inPlace ? work() : this.lock.hold(consumer, work);
  }

  /** It is not among those of a recent scan, and no other has died since: then nobody reads all of them for it. */
  private async isUnknown(consumer: string, id: string): Promise<boolean> {
    if (this.store.inPlace) return false;
    const { index, ended, letters } = this.scans.recent(consumer) ?? {};
    if (!index || index.has(id) || !ended || ended.more) return false;
    return letters === (await this.there(consumer));
  }

  /** Also those that a scan holds. */
  private async there(consumer: string): Promise<number> {
    return (await this.store.countToRead(consumer)) + this.store.unacknowledged(consumer);
  }

  private async needsScan(consumer: string, isPartEnough = false): Promise<boolean> {
    const { fewLetters = DEFAULT_FEW_LETTERS } = this.options;
    const { letters = 0, index, ended } = this.scans.known(consumer) ?? {};
    // A page is found by its key, without waiting for a scan that is under way.
    if (this.store.inPlace)
      return letters > fewLetters && index !== undefined && (isPartEnough || ended !== undefined);
    if (letters > fewLetters) return true;
    // Those that a scan holds are there, too: a list that waits for the lock would end it.
    return (await this.there(consumer)) > fewLetters;
  }

  private async openSession(consumer: string, filter: DeadLetterFilter): Promise<ReplaySession> {
    const lock = await this.lock.acquire(consumer);
    try {
      const reader = await this.store.openReader(consumer, (letter) =>
        matchesFilter(summarize(letter), filter),
      );
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
    const isLate = performance.now() - parked.since >= (this.options.parkedMs ?? DEFAULT_PARKED_MS);
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

function later(one: Date | undefined, other: Date | undefined): Date | undefined {
  return one && other ? (one > other ? one : other) : (one ?? other);
}
