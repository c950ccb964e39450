import { redactText } from '@relay/platform';
import { dateOf, type DeadLetterFilter, type DeadLetterSummary } from './dead-letter-store.js';

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
  /** When the count began; null: they are being counted for the first time, and these are those so far. */
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
  private hasRemoved = false;

  constructor(private readonly consumer: string) {}

  /** False: some are gone, of which times and messages may still be, or of whose cause there were too many. */
  get isExact(): boolean {
    return !this.hasRemoved;
  }

  add({ code, message, memberId, event, lastFailedAt }: DeadLetterSummary): void {
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
    countIn(cell.events, event);
    if (lastFailedAt === undefined || lastFailedAt >= (cell.lastDiedAt ?? 0)) cell.message = message;
    if (lastFailedAt === undefined) return;
    cell.firstDiedAt = Math.min(cell.firstDiedAt ?? lastFailedAt, lastFailedAt);
    cell.lastDiedAt = Math.max(cell.lastDiedAt ?? lastFailedAt, lastFailedAt);
  }

  /** One that was added is gone: the numbers are right then, while times and message may still be of that one. */
  remove({ code, memberId, event }: DeadLetterSummary): void {
    this.hasRemoved = true;
    const cells = this.cellsByCode.get(code);
    const cell = cells?.get(memberId);
    if (!cells) {
      uncountIn(this.others, memberId);
    } else if (cell) {
      cell.letters -= 1;
      uncountIn(cell.events, event);
      if (cell.letters === 0) cells.delete(memberId);
      if (cells.size === 0) this.cellsByCode.delete(code);
    }
  }

  /** @param filter by portal or cause */
  result(
    isWhole: boolean,
    { memberId, code: wanted }: Pick<DeadLetterFilter, 'memberId' | 'code'> = {},
    countedAt: Date | null = new Date(),
  ): DeadLetterGroups {
    const groups: DeadLetterGroup[] = [];
    for (const [code, cells] of this.cellsByCode) {
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

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}

function countIn<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function uncountIn<Key>(counts: Map<Key, number>, key: Key): void {
  const left = (counts.get(key) ?? 0) - 1;
  if (left > 0) counts.set(key, left);
  else counts.delete(key);
}

function mostFrequent<Key>(counts: ReadonlyMap<Key, number>, limit: number): [Key, number][] {
  return [...counts].toSorted(([, one], [, other]) => other - one).slice(0, limit);
}
