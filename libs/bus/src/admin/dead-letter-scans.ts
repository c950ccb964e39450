import { pause, waitAtMost } from '@relay/platform';
import { DeadLetterGrouping, type DeadLetterGroups } from './dead-letter-groups.js';
import { DeadLetterIndex } from './dead-letter-index.js';
import {
  LATE_LETTERS,
  NoSuchConsumerError,
  SCAN_LIMIT,
  summarize,
  type DeadLetterFilter,
  type DeadLetterRecord,
  type LettersInPlace,
  type ScanResult,
} from './dead-letter-store.js';

/** A scan, as a store does it; it holds the lock of the operators. `rest`: called now and then, false ends it. */
export type Scan = (
  consumer: string,
  see: (letter: DeadLetterRecord) => void,
  rest: (isWanted: () => Promise<boolean>) => Promise<boolean>,
) => Promise<ScanResult>;

export interface DeadLetterScansOptions {
  /** With it, letters are scanned once; then what has changed is read. */
  inPlace?: LettersInPlace | undefined;
  /** Letters that are read anew for each look: it takes some tens of milliseconds. */
  fewLetters?: number;
  /** How long a scan of more letters is good for, at least; in place, how long the newest are those that are known. */
  keptMs?: number;
  /** In place: how long letters that somebody else has taken may be taken for there, at least. */
  comparedMs?: number;
  /** How long a request waits for a scan. */
  waitMs?: number;
}

export const DEFAULT_FEW_LETTERS = 3_000;
const DEFAULT_KEPT_MS = 30_000;
const DEFAULT_KEPT_IN_PLACE_MS = 2_000;
const DEFAULT_COMPARED_MS = 10_000;
/** All ids are compared in a hundredth of the time at most. */
const COMPARE_PAUSE = 100;
const DEFAULT_WAIT_MS = 250;
/** A scan rests for so many times as long as it works, together with the others: events go first. */
const REST = 3;
/** And there is none for so many times as long as the last one took. */
const PAUSE = 3;
/** Longer, and an operator who waits for the lock sees it. */
const MAX_REST_MS = 1_000;
/** Some 250 bytes each. */
const MAX_INDEXED_LETTERS = 200_000;

/** What the letters of a consumer are, as a scan finds them. */
export interface Finding {
  readonly consumer: string;
  grouping: DeadLetterGrouping;
  /** Undefined: it was given up for those of other consumers. */
  index: DeadLetterIndex | undefined;
  beganAt: Date;
  letters: number;
  /** Undefined: it has not ended. */
  ended: { more: boolean; at: number; tookMs: number } | undefined;
  /** Somebody has replayed or dropped some of them since it began. */
  isOutdated: boolean;
  /** In place: when all ids are to be compared again. */
  compareAt: number;
}

/**
 * What the last scan of each consumer found. Many letters are not scanned for every look at them: a request gets what the
 * last scan found, with its time, while the next one is made beside it; the first one gets what was found so far. A scan leaves
 * most of the time to others, and ends early when somebody waits for its lock. Where letters stay in place, there is one scan: after
 * it, the newest letters are read, and now and then all ids are compared, for those that were taken elsewhere.
 */
export class DeadLetterScans {
  /** The one that somebody looked at last is the last. */
  private readonly last = new Map<string, Finding>();
  private readonly running = new Map<string, { finding: Finding; done: Promise<void> }>();
  private readonly comparedMs: number;
  private readonly waitMs: number;
  private readonly fewLetters: number;

  constructor(
    private readonly scan: Scan,
    private readonly options: DeadLetterScansOptions,
  ) {
    this.comparedMs = options.comparedMs ?? DEFAULT_COMPARED_MS;
    this.waitMs = options.waitMs ?? DEFAULT_WAIT_MS;
    this.fewLetters = options.fewLetters ?? DEFAULT_FEW_LETTERS;
  }

  /** @throws whatever the scan does, if nothing was counted before */
  async groups(
    consumer: string,
    filter: Pick<DeadLetterFilter, 'memberId' | 'code'>,
  ): Promise<DeadLetterGroups> {
    const { grouping, ended, beganAt } = await this.find(consumer, () => false);
    return grouping.result(ended !== undefined && !ended.more, filter, ended ? beganAt : null);
  }

  /**
   * What was found lately, or so far.
   * @param suffices whether a scan that has not ended has what is wanted
   * @throws whatever the scan does, if nothing was found before
   */
  async find(consumer: string, suffices: (sofar: Finding) => boolean, since?: Date): Promise<Finding> {
    const before = this.last.get(consumer);
    if (before) {
      this.last.delete(consumer);
      this.last.set(consumer, before);
      if (this.isKept(before, since)) return before;
    }
    const deadline = performance.now() + this.waitMs;
    for (;;) {
      const { finding, done } = this.running.get(consumer) ?? this.start(consumer);
      try {
        // In place, what is wanted may have been known before, and is not what is there now.
        await this.waitFor(done, deadline, () => finding !== before && suffices(finding));
      } catch (error) {
        if (!before || error instanceof NoSuchConsumerError) throw error;
        return before;
      }
      if (!finding.ended) return before ?? finding;
      // It may have begun before the letters went.
      if (!finding.isOutdated || performance.now() >= deadline) return finding;
    }
  }

  /** Resolves when no scan is under way; what ends them early is the `rest` of each. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.running.values()].map(({ done }) => done));
  }

  /** Undefined: none was made lately, and none is being made. */
  known(consumer: string): Finding | undefined {
    return this.last.get(consumer) ?? this.running.get(consumer)?.finding;
  }

  /** Undefined: there is none that is good for many letters now. */
  recent(consumer: string): Finding | undefined {
    const last = this.last.get(consumer);
    return last && this.isKept(last) ? last : undefined;
  }

  /** Some letters of the consumer were replayed or dropped. @param ids undefined: it is not known which */
  forget(consumer: string, ids: Iterable<string> | undefined): void {
    const findings = [this.last.get(consumer), this.running.get(consumer)?.finding];
    for (const finding of findings) {
      // A scan that waits for the lock finds what is left.
      if (!finding || (finding.letters === 0 && !finding.ended && !this.options.inPlace)) continue;
      const isWhole = ids !== undefined && finding.index !== undefined && finding.ended !== undefined;
      if (isWhole) removeFrom(finding, ids);
      // What is being read may be from before.
      if (!isWhole || this.running.get(consumer)?.finding === finding) finding.isOutdated = true;
    }
  }

  /** Gives up the indexes at which nobody has looked the longest, if all of them are too large. */
  private bound(): void {
    let indexed = 0;
    for (const finding of [...this.last.values()].toReversed()) {
      indexed += finding.index?.size ?? 0;
      if (indexed > MAX_INDEXED_LETTERS) finding.index = undefined;
    }
  }

  private async waitFor(done: Promise<void>, deadline: number, suffices: () => boolean): Promise<void> {
    while (performance.now() < deadline) {
      if (suffices()) return;
      const isOver = done.then(() => true);
      if (await waitAtMost(isOver, Math.min(LOOK_EVERY_MS, deadline - performance.now()))) return;
    }
  }

  private isKept(finding: Finding, since?: Date): boolean {
    const { letters, ended, isOutdated, beganAt } = finding;
    if (isOutdated || letters <= this.fewLetters || !ended) return false;
    // Nothing has died at a time that is to come.
    if (since && since > beganAt && since.getTime() <= Date.now()) return false;
    const keptMs = this.isCheap(finding)
      ? (this.options.keptMs ?? DEFAULT_KEPT_IN_PLACE_MS)
      : Math.max(this.options.keptMs ?? DEFAULT_KEPT_MS, PAUSE * ended.tookMs);
    return performance.now() - ended.at < keptMs;
  }

  /** Only what has changed is read. */
  private isCheap({ index }: Finding): boolean {
    return this.options.inPlace !== undefined && index !== undefined;
  }

  private start(consumer: string): { finding: Finding; done: Promise<void> } {
    const before = this.last.get(consumer);
    const { inPlace } = this.options;
    if (inPlace && before?.index) return this.track(before, this.readChanges(before, before.index, inPlace));
    const finding: Finding = {
      consumer,
      grouping: new DeadLetterGrouping(consumer),
      index: new DeadLetterIndex({ before: before?.index, inPlace: inPlace !== undefined }),
      beganAt: new Date(),
      letters: 0,
      ended: undefined,
      isOutdated: false,
      compareAt: 0,
    };
    return this.track(finding, this.run(finding));
  }

  private track(finding: Finding, work: Promise<void>): { finding: Finding; done: Promise<void> } {
    const { consumer } = finding;
    const done = work
      .catch((error: unknown) => {
        if (error instanceof NoSuchConsumerError) this.last.delete(consumer);
        throw error;
      })
      .finally(() => this.running.delete(consumer));
    // Nobody may wait for it any more.
    done.catch(() => undefined);
    const started = { finding, done };
    this.running.set(consumer, started);
    return started;
  }

  private async run(finding: Finding): Promise<void> {
    const { consumer, index } = finding;
    const startedAt = performance.now();
    const rests = this.restsOf(finding);
    const { more } = await this.scan(consumer, (letter) => addTo(finding, letter), rests.rest);
    if (rests.isStopped) return;
    index?.end();
    finding.ended = { more, at: performance.now(), tookMs: performance.now() - startedAt };
    this.last.delete(consumer);
    this.last.set(consumer, finding);
    this.bound();
  }

  /** What fails in the middle is found by the next comparison of all. */
  private async readChanges(
    finding: Finding,
    index: DeadLetterIndex,
    letters: LettersInPlace,
  ): Promise<void> {
    const { consumer } = finding;
    const [startedAt, beganAt] = [performance.now(), new Date()];
    const isWhole =
      finding.isOutdated || finding.letters <= this.fewLetters || startedAt >= finding.compareAt;
    finding.isOutdated = false;
    try {
      const list = isWhole ? listChanges : listNewest;
      const { gone, missing, order, more } = await list(letters, consumer, index);
      const now = performance.now();
      if (isWhole) finding.compareAt = now + Math.max(this.comparedMs, COMPARE_PAUSE * (now - startedAt));
      removeFrom(finding, gone);
      const { rest } = this.restsOf(finding);
      const isRead = await letters
        .readIds(
          consumer,
          missing,
          (letter) => addTo(finding, letter),
          () => rest(async () => false),
        )
        // Also of a part of them.
        .finally(() => order && index.reorder(order));
      if (!isRead) {
        finding.isOutdated = true;
        return;
      }
      if (isWhole && !finding.grouping.isExact) finding.grouping = groupingOf(consumer, index);
      finding.beganAt = beganAt;
      finding.ended = { more, at: performance.now(), tookMs: 0 };
      this.bound();
    } catch (error) {
      finding.isOutdated = true;
      throw error;
    }
  }

  /** A scan works for a part of the time. */
  private restsOf(finding: Finding): {
    rest: (isWanted: () => Promise<boolean>) => Promise<boolean>;
    isStopped: boolean;
  } {
    let workingSince = performance.now();
    const rests = {
      isStopped: false,
      rest: async (isWanted: () => Promise<boolean>): Promise<boolean> => {
        if (finding.letters <= this.fewLetters) return true;
        const workedMs = performance.now() - workingSince;
        await pause(Math.min(MAX_REST_MS, workedMs * ((REST + 1) * this.running.size - 1)));
        rests.isStopped = await isWanted();
        workingSince = performance.now();
        return !rests.isStopped;
      },
    };
    return rests;
  }
}

/** How soon a request has what it waits for of a scan that goes on. */
const LOOK_EVERY_MS = 25;

function addTo(finding: Finding, letter: DeadLetterRecord): void {
  finding.letters += 1;
  finding.grouping.add(finding.index ? finding.index.add(letter) : summarize(letter));
}

function groupingOf(consumer: string, index: DeadLetterIndex): DeadLetterGrouping {
  const grouping = new DeadLetterGrouping(consumer);
  for (const letter of index.matching({})) grouping.add(letter);
  return grouping;
}

function removeFrom(finding: Finding, ids: Iterable<string>): void {
  for (const id of ids) {
    const letter = finding.index?.remove(id);
    if (!letter) continue;
    finding.grouping.remove(letter);
    finding.letters -= 1;
  }
}

/** What an index lacks, or has in excess, by the ids of the letters that are there. */
interface DeadLetterChanges {
  missing: string[];
  gone: string[];
  /** The order of the letters, if some of the missing ones belong before others that the index has. */
  order: string[] | undefined;
  /** There are more letters than an index takes. */
  more: boolean;
}

/** Of all letters: tens of milliseconds for {@link SCAN_LIMIT}. @throws whatever the store does */
async function listChanges(
  letters: LettersInPlace,
  consumer: string,
  index: DeadLetterIndex,
): Promise<DeadLetterChanges> {
  const listed = await letters.listIds(consumer, undefined, SCAN_LIMIT + 1);
  const ids = listed.slice(0, SCAN_LIMIT);
  const there = new Set(ids);
  const gone = [...index.ids()].filter((id) => !there.has(id));
  const missing = ids.filter((id) => !index.has(id));
  return { missing, gone, order: orderIn(ids, missing, index), more: listed.length > ids.length };
}

/** Of the newest letters alone, which costs next to nothing: those that are gone stay unknown. */
async function listNewest(
  letters: LettersInPlace,
  consumer: string,
  index: DeadLetterIndex,
): Promise<DeadLetterChanges> {
  const room = Math.max(0, SCAN_LIMIT - index.size);
  const ids = await letters.listIds(consumer, index.last, LATE_LETTERS + room + 1);
  const found = ids.filter((id) => !index.has(id));
  const missing = found.slice(0, room);
  return { missing, gone: [], order: orderIn(ids, missing, index), more: found.length > room };
}

function orderIn(
  ids: string[],
  [first]: readonly string[],
  index: DeadLetterIndex,
): DeadLetterChanges['order'] {
  if (first === undefined) return undefined;
  return ids.indexOf(first) < ids.findLastIndex((id) => index.has(id)) ? ids : undefined;
}
