/**
 * Responsible for doing, in this process, the tasks that its consumer is asked for. It takes one at a time for each
 * portal, a few at once, and keeps a lease on each while it works. A process that is killed or stands still loses its
 * leases, and the next one to look goes on where it was; so a handler keeps its place in the database, and bears
 * repeats. A task that has lost two is done alone, and one that ends its process all the same is given up as poison. When no
 * process runs, tasks wait.
 */
import { randomUUID } from 'node:crypto';
import { type Log, redactText } from '@relay/platform';
import type { DataSource } from 'typeorm';
import type { PortalJob, JobProgress } from './portal-jobs.js';
import { SUSPECT_LOST_LEASES, JobLeases } from './job-leases.js';
import { decideRetry } from './retry-policy.js';

export interface JobRun {
  task: PortalJob;
  /** Aborted when this process ends or has lost the task. */
  signal: AbortSignal;
  /** Says how far it is. Cheap enough for every request, too dear for every item. */
  readonly report: (progress: JobProgress) => Promise<void>;
}

/** Returns what came of it, as its last progress. What it throws decides whether it is tried again (`verdict.ts`). */
export type JobHandler = (run: JobRun) => Promise<JobProgress>;

export interface JobRunnerOptions {
  dataSource: DataSource;
  consumer: string;
  log: Log;
  /** By kind. */
  handlers: Readonly<Record<string, JobHandler>>;
  /** Tasks in hand at once, of as many portals: a slow one holds one place, and no more. */
  concurrency?: number;
  /** How often it looks for tasks when nobody wakes it. */
  pollMs?: number;
  /** After how long a silent process is taken for dead. */
  leaseMs?: number;
  /** Who gets on for so long in one process is not what ended those before. */
  harmlessAfterMs?: number;
}

const DEFAULT_CONCURRENCY = 8;
const HARMLESS_AFTER_MS = 60_000;

/** The process has lost its lease: another one does the task by now. */
class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

export class JobRunner {
  private readonly leases: JobLeases;
  private readonly running = new Map<string, Promise<void>>();
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;
  /** A task in hand that may end this process: nothing is taken beside it. */
  private suspect: PortalJob | undefined;

  constructor(private readonly options: JobRunnerOptions) {
    const { dataSource, consumer, handlers, leaseMs = 15_000 } = options;
    this.leases = new JobLeases(dataSource, {
      consumer,
      kinds: Object.keys(handlers),
      owner: randomUUID(),
      leaseMs,
    });
  }

  start(): void {
    this.wake();
  }

  /** Looks now, rather than at the next poll. */
  wake(): void {
    if (this.stopping.signal.aborted || this.looking) return;
    clearTimeout(this.timer);
    this.looking = this.look().finally(() => {
      this.looking = undefined;
      if (this.stopping.signal.aborted) return;
      this.timer = setTimeout(() => this.wake(), this.options.pollMs ?? 1_000);
      this.timer.unref();
    });
  }

  /** Takes nothing more; what is in hand stops where it is, and waits for the next process. */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('the process ends'));
    clearTimeout(this.timer);
    await this.looking;
    await Promise.all(this.running.values());
  }

  private async look(): Promise<void> {
    try {
      for (const task of await this.leases.giveUpPoison()) {
        this.options.log.error({ ...named(task), error: task.error }, 'task failed');
      }
      const { concurrency = DEFAULT_CONCURRENCY } = this.options;
      while (!this.stopping.signal.aborted && this.running.size < concurrency && !this.suspect) {
        const task = await this.leases.take([...this.running.keys()]);
        if (!task) return;
        if (task.lostLeases >= SUSPECT_LOST_LEASES) this.suspect = task;
        const run: Promise<void> = this.run(task).finally(() => {
          this.running.delete(task.id);
          if (this.suspect === task) this.suspect = undefined;
          this.wake();
        });
        this.running.set(task.id, run);
      }
    } catch (err) {
      this.options.log.warn({ err }, 'tasks cannot be looked for, will be tried again');
    }
  }

  private async run(task: PortalJob): Promise<void> {
    const lost = new AbortController();
    const signal = AbortSignal.any([this.stopping.signal, lost.signal]);
    const heart = this.keep(task, lost);
    try {
      await this.end(task, signal, lost);
    } catch (err) {
      // The database is away: the lease runs out, and somebody goes on.
      this.options.log.warn({ err, ...named(task) }, 'what became of a task could not be noted');
    } finally {
      clearInterval(heart);
    }
  }

  private async end(task: PortalJob, signal: AbortSignal, lost: AbortController): Promise<void> {
    const { log, handlers } = this.options;
    const handler = handlers[task.kind];
    if (!handler) throw new TypeError(`nobody does ${task.kind}`);
    let { attempts } = task;
    const startedAt = performance.now();
    const report = async (progress: JobProgress): Promise<void> => {
      attempts = 0;
      const isHarmless = performance.now() - startedAt >= (this.options.harmlessAfterMs ?? HARMLESS_AFTER_MS);
      if (!(await this.leases.report(task.id, progress, isHarmless))) lost.abort(new LeaseLostError());
      if (isHarmless && this.suspect === task) this.suspect = undefined;
      signal.throwIfAborted();
    };
    log.info(named(task), 'task started');
    try {
      const progress = await handler({ task, signal, report });
      await this.leases.done(task.id, progress);
      log.info({ ...named(task), ...progress }, 'task done');
    } catch (err) {
      if (lost.signal.aborted) return log.warn(named(task), 'a task was taken over by another process');
      if (this.stopping.signal.aborted) return await this.leases.giveBack(task.id);
      const verdict = decideRetry(err, attempts);
      const said = redactText(err instanceof Error ? err.message : String(err));
      await this.leases.failed(task.id, said, verdict);
      log.warn(
        { ...named(task), err, verdict },
        verdict.again ? 'a task is tried again later' : 'task failed',
      );
    }
  }

  /** A lease that cannot be extended for its whole length is another's by now. */
  private keep(task: PortalJob, lost: AbortController): NodeJS.Timeout {
    const { leaseMs = 15_000 } = this.options;
    let extendedAt = performance.now();
    const extend = async (): Promise<void> => {
      const startedAt = performance.now();
      const isMine = await this.leases.extend(task.id).catch(() => undefined);
      if (isMine) extendedAt = startedAt;
      if (isMine === false || performance.now() - extendedAt > leaseMs) lost.abort(new LeaseLostError());
    };
    return setInterval(() => void extend(), leaseMs / 4);
  }
}

function named({ id, kind, memberId }: PortalJob): { task: string; kind: string; memberId: string } {
  return { task: id, kind, memberId };
}
