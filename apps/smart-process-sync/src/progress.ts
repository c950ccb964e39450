import { z } from 'zod';

/** The progress of one type. */
const typeProgress = z.object({
  entityTypeId: z.number(),
  title: z.string(),
  items: z.number(),
  /** Everything up to this id is done. */
  after: z.string(),
  lastId: z.string(),
  isDone: z.boolean(),
});
export type TypeProgress = z.output<typeof typeProgress>;

const counts = z.object({
  missing: z.number(),
  stale: z.number(),
  /** Read again, because they changed in the second in which they were read. */
  rechecked: z.number(),
  deleted: z.number(),
  hidden: z.number(),
  /** Unreadable items whose state is unknown: their rows stay. */
  unreadable: z.number(),
});
export type Findings = z.output<typeof counts>;

const kept = z.object({ types: z.array(typeProgress), found: counts });

const NOTHING: Findings = { missing: 0, stale: 0, rechecked: 0, deleted: 0, hidden: 0, unreadable: 0 };

export interface Speed {
  items: number;
  itemsPerSecond: number;
  /** From 0 to 1. */
  part: number;
  /** Missing while unknown. */
  secondsLeft?: number;
}

/** The progress of a job; operators see its `toJSON`, and a killed job continues from it. */
export class Progress {
  readonly found: Findings;
  private readonly types: Map<number, TypeProgress>;
  private readonly startedAtMs: number;
  private itemsHere = 0;
  private partAtStart: number | undefined;

  constructor(
    before: Record<string, unknown> = {},
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    const read = kept.safeParse(before);
    this.found = { ...NOTHING, ...(read.success ? read.data.found : {}) };
    this.types = new Map(read.success ? read.data.types.map((type) => [type.entityTypeId, type]) : []);
    this.startedAtMs = nowMs();
  }

  /** Continues from the stored progress; otherwise from `start`. */
  open(start: TypeProgress): TypeProgress {
    const type = this.types.get(start.entityTypeId) ?? start;
    this.types.set(start.entityTypeId, { ...type, lastId: start.lastId });
    return type;
  }

  advance(entityTypeId: number, items: number, last: string, isDone: boolean): void {
    const type = this.types.get(entityTypeId);
    if (!type) return;
    this.partAtStart ??= this.part();
    this.itemsHere += items;
    this.types.set(entityTypeId, { ...type, items: type.items + items, after: last, isDone });
  }

  toJSON(): Record<string, unknown> {
    return { ...this.speed(), found: this.found, types: [...this.types.values()] };
  }

  speed(): Speed {
    const seconds = Math.max(0.001, (this.nowMs() - this.startedAtMs) / 1_000);
    const part = this.part();
    const perSecond = (part - (this.partAtStart ?? 0)) / seconds;
    const items = [...this.types.values()].reduce((sum, type) => sum + type.items, 0);
    return {
      items,
      itemsPerSecond: Math.round(this.itemsHere / seconds),
      part: Math.round(part * 1_000) / 1_000,
      ...(perSecond > 0 && { secondsLeft: Math.round((1 - part) / perSecond) }),
    };
  }

  /** By ids, since items are not counted beforehand: as if no id were missing. */
  private part(): number {
    const types = [...this.types.values()];
    const all = types.reduce((sum, { lastId }) => sum + Number(lastId) + 1, 0);
    const done = types.reduce(
      (sum, { after, lastId, isDone }) =>
        sum + (isDone ? Number(lastId) + 1 : Math.min(Number(after), Number(lastId))),
      0,
    );
    return all === 0 ? 1 : done / all;
  }
}

/** Reports at most twice a second. */
export class Reporter {
  private reportedAtMs = -Infinity;

  constructor(
    private readonly progress: Progress,
    private readonly report: (progress: Record<string, unknown>) => Promise<void>,
    private readonly log: (progress: Record<string, unknown>) => void,
  ) {}

  private loggedAtMs = performance.now();

  async reportProgress(): Promise<void> {
    const now = performance.now();
    if (now - this.reportedAtMs < 500) return;
    this.reportedAtMs = now;
    const said = this.progress.toJSON();
    await this.report(said);
    if (now - this.loggedAtMs < 10_000) return;
    this.loggedAtMs = now;
    const { items, itemsPerSecond, secondsLeft } = said;
    this.log({ items, itemsPerSecond, secondsLeft });
  }
}
