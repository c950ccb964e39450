import { formatEventName } from '@relay/events';
import { redactText, waitAtMost } from '@relay/platform';
import {
  eventIn,
  NoSuchConsumerError,
  type DeadLetterFilter,
  type DeadLetterRecord,
  type ScanResult,
} from './dead-letter-store.js';

/** The dead letters of one consumer that have one cause. */
export interface DeadLetterGroup {
  consumer: string;
  code: string;
  /** Of the last one that died. */
  message: string;
  letters: number;
  /** Those with the most letters first; null stands for unreadable messages. */
  portals: { memberId: string | null; letters: number }[];
  /** All of them, also those that `portals` does not list. */
  portalCount: number;
  /** The most frequent first; null stands for unreadable messages. */
  events: { event: string | null; letters: number }[];
  /** Of the last failures; null if none is recorded. */
  firstDiedAt: Date | null;
  lastDiedAt: Date | null;
}

export interface DeadLetterGroups {
  /** The largest first. */
  groups: DeadLetterGroup[];
  matching: number;
  /** False: more letters, or more causes, than one request examines; or they are still being counted. */
  complete: boolean;
  /** When the letters were counted; null: they are being counted for the first time, and these are those so far. */
  countedAt: Date | null;
}

/** Codes come from handlers, and so from anywhere. */
const MAX_GROUPS = 200;
const MAX_PORTALS = 50;
const MAX_EVENTS = 20;

/** The letters of one cause at one portal. */
interface Cell {
  letters: number;
  message: string;
  events: Map<string | null, number>;
  firstDiedAt: number | undefined;
  lastDiedAt: number | undefined;
}

/** Counts the letters of a scan, by cause and portal: then the groups of any portal or cause need no scan of their own. */
export class DeadLetterGrouping {
  private readonly cellsByCode = new Map<string, Map<string | null, Cell>>();
  /** Letters of causes beyond the first ones, which have no cells. */
  private readonly others = new Map<string | null, number>();

  constructor(private readonly consumer: string) {}

  add({ code, message, content, lastFailedAt }: DeadLetterRecord): void {
    const event = eventIn(content);
    const memberId = event?.memberId ?? null;
    const cells = this.cellsOf(code);
    if (!cells) {
      countIn(this.others, memberId);
      return;
    }
    let cell = cells.get(memberId);
    if (!cell) {
      cell = { letters: 0, message: '', events: new Map(), firstDiedAt: undefined, lastDiedAt: undefined };
      cells.set(memberId, cell);
    }
    cell.letters += 1;
    countIn(cell.events, event ? formatEventName(event.name, event.entityTypeId) : null);
    if (lastFailedAt === undefined || lastFailedAt >= (cell.lastDiedAt ?? 0)) cell.message = message;
    if (lastFailedAt === undefined) return;
    cell.firstDiedAt = Math.min(cell.firstDiedAt ?? lastFailedAt, lastFailedAt);
    cell.lastDiedAt = Math.max(cell.lastDiedAt ?? lastFailedAt, lastFailedAt);
  }

  /** @param filter by portal or cause, as operators see them */
  result(
    isWhole: boolean,
    { memberId, code: wanted }: Pick<DeadLetterFilter, 'memberId' | 'code'> = {},
    countedAt: Date | null = new Date(),
  ): DeadLetterGroups {
    const groups: DeadLetterGroup[] = [];
    for (const [stored, cells] of this.cellsByCode) {
      const code = redactText(stored);
      if (wanted !== undefined && code !== wanted) continue;
      const only = memberId === undefined ? undefined : cells.get(memberId);
      const meant: Iterable<[string | null, Cell]> =
        memberId === undefined ? cells : only ? [[memberId, only]] : [];
      const group = this.groupOf(code, meant);
      if (group.letters > 0) groups.push(group);
    }
    const others = memberId === undefined ? sumOf(this.others.values()) : (this.others.get(memberId) ?? 0);
    return {
      groups: groups.toSorted((one, other) => other.letters - one.letters),
      matching: sumOf(groups.map(({ letters }) => letters)) + (wanted === undefined ? others : 0),
      complete: isWhole && this.others.size === 0,
      countedAt,
    };
  }

  private groupOf(code: string, cells: Iterable<[string | null, Cell]>): DeadLetterGroup {
    const [portals, events] = [new Map<string | null, number>(), new Map<string | null, number>()];
    let last: Cell | undefined;
    let firstDiedAt: number | undefined;
    for (const [memberId, cell] of cells) {
      portals.set(memberId, cell.letters);
      for (const [event, letters] of cell.events) events.set(event, (events.get(event) ?? 0) + letters);
      if (!last || (cell.lastDiedAt ?? 0) >= (last.lastDiedAt ?? 0)) last = cell;
      if (cell.firstDiedAt !== undefined)
        firstDiedAt = Math.min(firstDiedAt ?? cell.firstDiedAt, cell.firstDiedAt);
    }
    return {
      consumer: this.consumer,
      code,
      message: redactText(last?.message ?? ''),
      letters: sumOf(portals.values()),
      portals: mostFrequent(portals, MAX_PORTALS).map(([memberId, letters]) => ({ memberId, letters })),
      portalCount: portals.size,
      events: mostFrequent(events, MAX_EVENTS).map(([event, letters]) => ({ event, letters })),
      firstDiedAt: dateOf(firstDiedAt),
      lastDiedAt: dateOf(last?.lastDiedAt),
    };
  }

  private cellsOf(code: string): Map<string | null, Cell> | undefined {
    const known = this.cellsByCode.get(code);
    if (known) return known;
    if (this.cellsByCode.size >= MAX_GROUPS) return undefined;
    const made = new Map<string | null, Cell>();
    this.cellsByCode.set(code, made);
    return made;
  }
}

/** Letters that are counted anew for each request: a scan of them takes some tens of milliseconds. */
const FEW_LETTERS = 2_000;
const KEPT_MS = 30_000;
const WAIT_MS = 250;

interface Count {
  readonly grouping: DeadLetterGrouping;
  letters: number;
  /** Undefined: it has not ended. */
  ended: { at: Date; more: boolean } | undefined;
  /** Somebody has replayed or dropped some of them since it began. */
  isOutdated: boolean;
}

/**
 * What the last scan of each consumer counted. Many letters are not scanned for every look at them: a request gets the last
 * count, with its time, while the next one is made beside it; the first one gets what was counted so far.
 */
export class DeadLetterCounts {
  private readonly last = new Map<string, Count>();
  private readonly running = new Map<string, { count: Count; done: Promise<void> }>();

  /** @param scan holds the lock of the operators; it may wait for another one's replay */
  constructor(
    private readonly scan: (consumer: string, see: (letter: DeadLetterRecord) => void) => Promise<ScanResult>,
    private readonly keptMs = KEPT_MS,
    private readonly waitMs = WAIT_MS,
  ) {}

  /** @throws whatever the scan does, if nothing was counted before */
  async groups(
    consumer: string,
    filter: Pick<DeadLetterFilter, 'memberId' | 'code'>,
  ): Promise<DeadLetterGroups> {
    const before = this.last.get(consumer);
    if (before && this.isKept(before)) return resultOf(before, filter);
    const deadline = performance.now() + this.waitMs;
    for (;;) {
      const { count, done } = this.running.get(consumer) ?? this.start(consumer);
      try {
        await waitAtMost(done, Math.max(0, deadline - performance.now()));
      } catch (error) {
        if (!before || error instanceof NoSuchConsumerError) throw error;
        return resultOf(before, filter);
      }
      if (!count.ended) return resultOf(before ?? count, filter);
      // It may have begun before the letters went.
      if (!count.isOutdated || performance.now() >= deadline) return resultOf(count, filter);
    }
  }

  /** Some letters of the consumer were replayed or dropped: the next request counts anew. */
  outdate(consumer: string): void {
    for (const count of [this.last.get(consumer), this.running.get(consumer)?.count])
      if (count) count.isOutdated = true;
  }

  private isKept({ letters, ended, isOutdated }: Count): boolean {
    if (isOutdated || letters <= FEW_LETTERS || !ended) return false;
    return Date.now() - ended.at.getTime() < this.keptMs;
  }

  private start(consumer: string): { count: Count; done: Promise<void> } {
    const count: Count = {
      grouping: new DeadLetterGrouping(consumer),
      letters: 0,
      ended: undefined,
      isOutdated: false,
    };
    const done = this.run(consumer, count).finally(() => this.running.delete(consumer));
    // Nobody may wait for it any more.
    done.catch(() => undefined);
    const started = { count, done };
    this.running.set(consumer, started);
    return started;
  }

  private async run(consumer: string, count: Count): Promise<void> {
    try {
      const { more } = await this.scan(consumer, (letter) => {
        count.letters += 1;
        count.grouping.add(letter);
      });
      count.ended = { at: new Date(), more };
      this.last.set(consumer, count);
    } catch (error) {
      if (error instanceof NoSuchConsumerError) this.last.delete(consumer);
      throw error;
    }
  }
}

function resultOf(
  { grouping, ended }: Count,
  filter: Pick<DeadLetterFilter, 'memberId' | 'code'>,
): DeadLetterGroups {
  return grouping.result(ended !== undefined && !ended.more, filter, ended?.at ?? null);
}

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}

function countIn<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function mostFrequent<Key>(counts: ReadonlyMap<Key, number>, limit: number): [Key, number][] {
  return [...counts].toSorted(([, one], [, other]) => other - one).slice(0, limit);
}

function dateOf(milliseconds: number | undefined): Date | null {
  return milliseconds === undefined || !Number.isFinite(milliseconds) ? null : new Date(milliseconds);
}
