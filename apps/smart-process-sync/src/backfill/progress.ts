import { gauge } from '@relay/platform';
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
type TypeProgress = z.output<typeof typeProgress>;

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

const storedProgress = z.object({ types: z.array(typeProgress), found: counts });

const NO_FINDINGS: Findings = { missing: 0, stale: 0, rechecked: 0, deleted: 0, hidden: 0, unreadable: 0 };

interface Speed {
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
    const read = storedProgress.safeParse(before);
    this.found = { ...NO_FINDINGS, ...(read.success ? read.data.found : {}) };
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
    const items = sum([...this.types.values()].map((type) => type.items));
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
    const all = sum(types.map(({ lastId }) => Number(lastId) + 1));
    const done = sum(
      types.map(({ after, lastId, isDone }) =>
        isDone ? Number(lastId) + 1 : Math.min(Number(after), Number(lastId)),
      ),
    );
    return all === 0 ? 1 : done / all;
  }
}

const REPORT_INTERVAL_MS = 500;
const LOG_INTERVAL_MS = 10_000;

/** Reports the progress of a job, at most twice a second, and logs it every ten seconds. */
export class Reporter {
  private reportedAtMs = -Infinity;
  private loggedAtMs = performance.now();

  constructor(
    private readonly progress: Progress,
    private readonly report: (progress: Record<string, unknown>) => Promise<void>,
    private readonly log: (progress: Record<string, unknown>) => void,
  ) {}

  async reportProgress(): Promise<void> {
    const now = performance.now();
    if (now - this.reportedAtMs < REPORT_INTERVAL_MS) return;
    this.reportedAtMs = now;
    const state = this.progress.toJSON();
    await this.report(state);
    if (now - this.loggedAtMs < LOG_INTERVAL_MS) return;
    this.loggedAtMs = now;
    const { items, itemsPerSecond, secondsLeft } = state;
    this.log({ items, itemsPerSecond, secondsLeft });
  }
}

type JobKind = 'backfill' | 'reconcile';
type RunningJobs = ReadonlySet<{ speed: () => Speed }>;

/** Running jobs of this process. */
const runningJobs: Record<JobKind, Set<{ speed: () => Speed }>> = {
  backfill: new Set(),
  reconcile: new Set(),
};

/** Shows a job in the metrics until it ends, with or without an error. */
export async function track<T>(
  work: JobKind,
  progress: { speed: () => Speed },
  run: () => Promise<T>,
): Promise<T> {
  runningJobs[work].add(progress);
  try {
    return await run();
  } finally {
    runningJobs[work].delete(progress);
  }
}

createJobGauge(
  'relay_sync_running',
  'Portals that this process backfills or reconciles now',
  ({ size }) => size,
);
createJobGauge('relay_sync_running_items', 'Items that the running jobs have read so far', (running) =>
  sum([...running].map((progress) => progress.speed().items)),
);
createJobGauge('relay_sync_running_items_per_second', 'Items per second of all running jobs', (running) =>
  sum([...running].map((progress) => progress.speed().itemsPerSecond)),
);
createJobGauge(
  'relay_sync_running_seconds_left',
  'Estimated seconds until the slowest running job ends, by the ids that are left; 0 if none runs or there is no estimate yet',
  (running) => Math.max(0, ...[...running].map((progress) => progress.speed().secondsLeft ?? 0)),
);

/** By kind of work, over all portals, since there are thousands. Computed only at a scrape. */
function createJobGauge(name: string, help: string, read: (running: RunningJobs) => number): void {
  const created = gauge({
    name,
    help,
    labelNames: ['work'],
    collect: () => {
      for (const [work, running] of Object.entries(runningJobs)) created.set({ work }, read(running));
    },
  });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
