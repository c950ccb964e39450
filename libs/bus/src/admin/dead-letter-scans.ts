import { pause, waitAtMost } from '@relay/platform';
import { DeadLetterGrouping, type DeadLetterGroups } from './dead-letter-groups.js';
import { DeadLetterIndex } from './dead-letter-index.js';
import {
  NoSuchConsumerError,
  summarize,
  type DeadLetterFilter,
  type DeadLetterRecord,
  type ScanResult,
} from './dead-letter-store.js';

/** A scan, as a store does it; it holds the lock of the operators. `rest`: called now and then, false ends it. */
export type Scan = (
  consumer: string,
  see: (letter: DeadLetterRecord) => void,
  rest: (isWanted: () => Promise<boolean>) => Promise<boolean>,
) => Promise<ScanResult>;

export interface DeadLetterScansOptions {
  /** Whether lists are had of a scan, too. */
  keepsLetters: boolean;
  /** Letters that are read anew for each look: it takes some tens of milliseconds. */
  fewLetters?: number;
  /** How long a scan of more letters is good for, at least. */
  keptMs?: number;
  /** How long a request waits for a scan. */
  waitMs?: number;
}

export const DEFAULT_FEW_LETTERS = 3_000;
const DEFAULT_KEPT_MS = 30_000;
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
  readonly grouping: DeadLetterGrouping;
  /** Undefined: lists are not had of it, or it was given up for those of other consumers. */
  index: DeadLetterIndex | undefined;
  readonly beganAt: Date;
  letters: number;
  /** Undefined: it has not ended. */
  ended: { more: boolean; at: number; tookMs: number } | undefined;
  /** Somebody has replayed or dropped some of them since it began. */
  isOutdated: boolean;
}

/**
 * What the last scan of each consumer found. Many letters are not scanned for every look at them: a request gets what the
 * last scan found, with its time, while the next one is made beside it; the first one gets what was found so far. A scan leaves
 * most of the time to others, and ends early when somebody waits for its lock.
 */
export class DeadLetterScans {
  /** The one that somebody looked at last is the last. */
  private readonly last = new Map<string, Finding>();
  private readonly running = new Map<string, { finding: Finding; done: Promise<void> }>();
  private readonly keptMs: number;
  private readonly waitMs: number;
  private readonly fewLetters: number;

  constructor(
    private readonly scan: Scan,
    private readonly options: DeadLetterScansOptions,
  ) {
    this.keptMs = options.keptMs ?? DEFAULT_KEPT_MS;
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
      const { finding, done } = this.running.get(consumer) ?? this.start(consumer, before);
      try {
        await this.waitFor(finding, done, deadline, suffices);
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

  /** Some letters of the consumer were replayed or dropped. @param ids undefined: it is not known which */
  forget(consumer: string, ids: Iterable<string> | undefined): void {
    const findings = [this.last.get(consumer), this.running.get(consumer)?.finding];
    for (const finding of findings) {
      // A scan that has not begun finds what is left.
      if (!finding || finding.letters === 0) continue;
      if (!ids || !finding.index || !finding.ended) finding.isOutdated = true;
      else removeFrom(finding, ids);
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

  private async waitFor(
    finding: Finding,
    done: Promise<void>,
    deadline: number,
    suffices: (sofar: Finding) => boolean,
  ): Promise<void> {
    while (performance.now() < deadline) {
      if (suffices(finding)) return;
      const isOver = done.then(() => true);
      if (await waitAtMost(isOver, Math.min(LOOK_EVERY_MS, deadline - performance.now()))) return;
    }
  }

  private isKept({ letters, ended, isOutdated, beganAt }: Finding, since?: Date): boolean {
    if (isOutdated || letters <= this.fewLetters || !ended) return false;
    // Nothing has died at a time that is to come.
    if (since && since > beganAt && since.getTime() <= Date.now()) return false;
    return performance.now() - ended.at < Math.max(this.keptMs, PAUSE * ended.tookMs);
  }

  private start(consumer: string, before: Finding | undefined): { finding: Finding; done: Promise<void> } {
    const finding: Finding = {
      consumer,
      grouping: new DeadLetterGrouping(consumer),
      index: this.options.keepsLetters ? new DeadLetterIndex(before?.index) : undefined,
      beganAt: new Date(),
      letters: 0,
      ended: undefined,
      isOutdated: false,
    };
    const done = this.run(finding).finally(() => this.running.delete(consumer));
    // Nobody may wait for it any more.
    done.catch(() => undefined);
    const started = { finding, done };
    this.running.set(consumer, started);
    return started;
  }

  private async run(finding: Finding): Promise<void> {
    const { consumer, grouping, index } = finding;
    const startedAt = performance.now();
    let workingSince = startedAt;
    let isStopped = false;
    const rest = async (isWanted: () => Promise<boolean>): Promise<boolean> => {
      if (finding.letters <= this.fewLetters) return true;
      const workedMs = performance.now() - workingSince;
      await pause(Math.min(MAX_REST_MS, workedMs * ((REST + 1) * this.running.size - 1)));
      isStopped = await isWanted();
      workingSince = performance.now();
      return !isStopped;
    };
    try {
      const { more } = await this.scan(
        consumer,
        (letter) => {
          finding.letters += 1;
          grouping.add(index ? index.add(letter) : summarize(letter));
        },
        rest,
      );
      if (isStopped) return;
      index?.end();
      finding.ended = { more, at: performance.now(), tookMs: performance.now() - startedAt };
      this.last.delete(consumer);
      this.last.set(consumer, finding);
      this.bound();
    } catch (error) {
      if (error instanceof NoSuchConsumerError) this.last.delete(consumer);
      throw error;
    }
  }
}

/** How soon a request has what it waits for of a scan that goes on. */
const LOOK_EVERY_MS = 25;

function removeFrom(finding: Finding, ids: Iterable<string>): void {
  for (const id of ids) {
    const letter = finding.index?.remove(id);
    if (!letter) continue;
    finding.grouping.remove(letter);
    finding.letters -= 1;
  }
}
