/**
 * Runs the jobs of one consumer in this process: several concurrently, one at a time per portal, each under a lease. A
 * process that is killed or stalls loses its leases, and the next process to poll continues the job. A handler
 * therefore stores its position in the database and is idempotent. A job that has lost two leases is run exclusively;
 * if it still crashes its process, it fails as poison. While no process runs, jobs wait.
 */
import { randomUUID } from 'node:crypto';
import { guidanceOf, type Log, redactText } from '@relay/platform';
import type { DataSource } from 'typeorm';
import type { PortalJob, JobProgress } from './portal-jobs.js';
import { SUSPECT_LOST_LEASES, JobLeases, type JobOrder, type RetryDecision } from './job-leases.js';

export interface JobRun {
  job: PortalJob;
  /** Aborted when this process shuts down or has lost the lease. */
  signal: AbortSignal;
  /** Stores the progress. Cheap enough per request, too expensive per item. */
  readonly report: (progress: JobProgress) => Promise<void>;
}

/**
 * Returns the result as the final progress. The thrown error decides whether the job is retried (`decideRetry`).
 */
export type JobHandler = (run: JobRun) => Promise<JobProgress>;

export interface JobRunnerOptions {
  dataSource: DataSource;
  consumer: string;
  log: Log;
  /** Handlers by job kind. */
  handlers: Readonly<Record<string, JobHandler>>;
  /** Maximum concurrent jobs, each of another portal: a slow portal occupies one slot only. */
  concurrency?: number;
  /** Slots beyond `concurrency`, for interactive jobs only, which take them first. */
  reserved?: number;
  /** Poll interval without `wake`. */
  pollMs?: number;
  /** Time without a heartbeat after which a process counts as dead. */
  leaseMs?: number;
  /** A job that makes progress for this long in one process is no longer a suspect. */
  harmlessAfterMs?: number;
  order?: JobOrder;
  /** An interactive request for a running job aborts it, and it starts anew at once, instead of when it ends. */
  restartOnRequest?: boolean;
}

const DEFAULT_CONCURRENCY = 8;
const HARMLESS_AFTER_MS = 60_000;
const FIRST_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 10 * 60_000;
/** Delay while the portal accepts no calls, or must be authorized again. */
const WAIT_MS = 60_000;
/** More than an hour of retries. */
const MAX_ATTEMPTS = 12;

/** The job was requested again, and starts anew. */
class JobRestartedError extends Error {
  override readonly name = 'JobRestartedError';
}

/** Thrown by a handler that has used up its slot for now: the job goes on, with its progress, behind those that wait. */
export class JobYieldedError extends Error {
  override readonly name = 'JobYieldedError';
}

/** The lease has expired: another process runs the job. */
class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

interface RunningJob {
  isInteractive: boolean;
  ended: Promise<void>;
  restart: AbortController;
}

export class JobRunner {
  private readonly leases: JobLeases;
  private readonly running = new Map<string, RunningJob>();
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private polling: Promise<void> | undefined;
  /** A running job that may crash this process: no other job is taken meanwhile. */
  private suspect: PortalJob | undefined;

  constructor(private readonly options: JobRunnerOptions) {
    const { dataSource, consumer, handlers, leaseMs = 15_000, order = 'fifo' } = options;
    this.leases = new JobLeases(dataSource, {
      consumer,
      kinds: Object.keys(handlers),
      owner: randomUUID(),
      leaseMs,
      order,
    });
  }

  start(): void {
    this.wake();
  }

  /** Polls now. */
  wake(): void {
    if (this.stopping.signal.aborted || this.polling) return;
    clearTimeout(this.timer);
    this.polling = this.poll().finally(() => {
      this.polling = undefined;
      if (this.stopping.signal.aborted) return;
      this.timer = setTimeout(() => this.wake(), this.options.pollMs ?? 1_000);
      this.timer.unref();
    });
  }

  /** Takes no more jobs; running jobs are aborted and released for the next process. */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('the process ends'));
    clearTimeout(this.timer);
    await this.polling;
    await Promise.all([...this.running.values()].map(({ ended }) => ended));
  }

  private async poll(): Promise<void> {
    try {
      for (const job of await this.leases.giveUpPoison()) {
        this.options.log.error({ event: 'job.poison', ...named(job), error: job.error }, 'job failed');
      }
      const { concurrency = DEFAULT_CONCURRENCY, reserved = 0, restartOnRequest } = this.options;
      if (restartOnRequest && this.running.size > 0) await this.restartRequested();
      while (!this.stopping.signal.aborted && this.running.size < concurrency + reserved && !this.suspect) {
        const priority = this.countShared() < concurrency ? 'background' : 'interactive';
        const job = await this.leases.take([...this.running.keys()], priority);
        if (!job) return;
        if (job.lostLeases >= SUSPECT_LOST_LEASES) this.suspect = job;
        const restart = new AbortController();
        const ended = this.run(job, restart).finally(() => {
          this.running.delete(job.id);
          if (this.suspect === job) this.suspect = undefined;
          this.wake();
        });
        this.running.set(job.id, { isInteractive: job.isInteractive, ended, restart });
      }
    } catch (err) {
      this.options.log.warn({ event: 'job.poll.failed', err }, 'jobs cannot be claimed now; trying again');
    }
  }

  /** Running jobs that are not in a reserved slot: interactive ones take those first. */
  private countShared(): number {
    const interactive = [...this.running.values()].filter(({ isInteractive }) => isInteractive).length;
    return this.running.size - Math.min(interactive, this.options.reserved ?? 0);
  }

  private async restartRequested(): Promise<void> {
    for (const id of await this.leases.rerunRequested()) {
      this.running.get(id)?.restart.abort(new JobRestartedError());
    }
  }

  private async run(job: PortalJob, restart: AbortController): Promise<void> {
    const lost = new AbortController();
    const signal = AbortSignal.any([this.stopping.signal, lost.signal, restart.signal]);
    const heartbeat = this.startHeartbeat(job, lost);
    try {
      await this.execute(job, signal, lost, restart.signal);
    } catch (err) {
      // The database is unavailable: the lease expires, and some process continues the job.
      this.options.log.warn(
        { event: 'job.outcome.unstored', err, ...named(job) },
        'the outcome of a job could not be stored',
      );
    } finally {
      clearInterval(heartbeat);
    }
  }

  private async execute(
    job: PortalJob,
    signal: AbortSignal,
    lost: AbortController,
    restart: AbortSignal,
  ): Promise<void> {
    const { log, handlers } = this.options;
    const handler = handlers[job.kind];
    if (!handler) throw new TypeError(`no handler for jobs of kind ${job.kind}`);
    let { attempts } = job;
    const startedAt = performance.now();
    const report = async (progress: JobProgress): Promise<void> => {
      attempts = 0;
      const isCleared = performance.now() - startedAt >= (this.options.harmlessAfterMs ?? HARMLESS_AFTER_MS);
      if (!(await this.leases.report(job.id, progress, isCleared))) lost.abort(new LeaseLostError());
      if (isCleared && this.suspect === job) this.suspect = undefined;
      signal.throwIfAborted();
    };
    log.info(named(job), 'job started');
    try {
      const progress = await handler({ job, signal, report });
      await this.leases.done(job.id, progress);
      log.info({ ...named(job), ...progress }, 'job done');
    } catch (err) {
      if (lost.signal.aborted)
        return log.warn(
          { event: 'job.lease.lost', ...named(job) },
          'a job was taken over by another process',
        );
      if (this.stopping.signal.aborted || err instanceof JobYieldedError)
        return await this.leases.release(job.id);
      // `done` makes a job that was requested again wait once more.
      if (restart.aborted) return await this.leases.done(job.id, {});
      const decision = decideRetry(err, attempts);
      const message = redactText(err instanceof Error ? err.message : String(err));
      await this.leases.failed(job.id, message, decision);
      log.warn(
        { event: decision.again ? 'job.retried' : 'job.failed', ...named(job), err, decision },
        decision.again ? 'a job failed and is retried' : 'job failed',
      );
    }
  }

  /** Extends the lease periodically. A lease that could not be extended for its whole duration counts as lost. */
  private startHeartbeat(job: PortalJob, lost: AbortController): NodeJS.Timeout {
    const { leaseMs = 15_000 } = this.options;
    let extendedAt = performance.now();
    const extend = async (): Promise<void> => {
      const startedAt = performance.now();
      const isMine = await this.leases.extend(job.id).catch(() => undefined);
      if (isMine) extendedAt = startedAt;
      if (isMine === false || performance.now() - extendedAt > leaseMs) lost.abort(new LeaseLostError());
    };
    return setInterval(() => void extend(), leaseMs / 4);
  }
}

function named({ id, kind, memberId }: PortalJob): { job: string; kind: string; memberId: string } {
  return { job: id, kind, memberId };
}

/** Decides on a failed job after `attempts` earlier failures. An error without a recovery counts as transient. */
function decideRetry(error: unknown, attempts: number): RetryDecision {
  const { recovery, retryAfterMs = 0 } = guidanceOf(error);
  switch (recovery) {
    case 'never':
      return { again: false };
    case 'wait':
      return { again: true, afterMs: retryAfterMs || WAIT_MS, counts: false };
    case 'reauthorize':
      return { again: true, afterMs: Math.max(retryAfterMs, WAIT_MS), counts: false };
    case 'retry': {
      if (attempts + 1 >= MAX_ATTEMPTS) return { again: false };
      const pauseMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempts);
      return { again: true, afterMs: Math.max(pauseMs, retryAfterMs), counts: true };
    }
    default:
      return assertUnreachable(recovery);
  }
}

function assertUnreachable(value: never): never {
  throw new TypeError(`Unknown recovery: ${String(value)}`);
}
