import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { CONSUMER_LOG, DATABASE_URL, TASK_CONCURRENCY } from '@relay/consumer';
import { LeaderLease, type Log, PeriodicJob } from '@relay/platform';
import { PortalJobs, type JobHandler, JobRunner } from '@relay/jobs';
import { DataSource } from 'typeorm';
import { Backfill } from './backfill/backfill.js';
import { Reconciliation } from './reconcile/reconciliation.js';
import { Schedule } from './schedule/schedule.js';
import { CONSUMER } from './smart-process-types/settings.js';
import { CastFailures } from './views/cast-failures.js';
import { ViewSynchronizer } from './views/view-synchronizer.js';

const SWEEP_INTERVAL_MS = 3_000;
/** A view that cannot get its barrier now has a long-running reader, or another owner. */
const GUARD_INTERVAL_MS = 60_000;

/**
 * Runs, beside the events, the jobs that operators and the schedule request. Every process runs jobs; one of them, the
 * leader, sweeps over all portals for the schedule. Stops before the database is closed.
 */
@Injectable()
export class SyncRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly runner: JobRunner;
  private readonly sweeping: PeriodicJob;
  private readonly lease: LeaderLease;
  private guardAtMs = 0;

  constructor(
    source: DataSource,
    private readonly schedule: Schedule,
    private readonly views: ViewSynchronizer,
    backfill: Backfill,
    reconciliation: Reconciliation,
    castFailures: CastFailures,
    jobs: PortalJobs,
    @Inject(CONSUMER_LOG) private readonly log: Log,
    @Inject(TASK_CONCURRENCY) concurrency: number,
    @Inject(DATABASE_URL) databaseUrl: string,
  ) {
    this.lease = new LeaderLease({ databaseUrl, name: `${CONSUMER} schedule`, log });
    this.sweeping = new PeriodicJob(`${CONSUMER} schedule`, SWEEP_INTERVAL_MS, log, () => this.sweep());
    const thenCount =
      (handler: JobHandler): JobHandler =>
      async (run) => {
        const progress = await handler(run);
        await jobs.request(CONSUMER, run.job.memberId, 'count');
        return progress;
      };
    this.runner = new JobRunner({
      dataSource: source,
      consumer: CONSUMER,
      log,
      concurrency,
      handlers: {
        /** Requested by an operator: reads everything. */
        backfill: thenCount((run) => backfill.all(run)),
        /** Requested by the schedule, or because the list of types changed: reads what was not read before. */
        complete: thenCount((run) => backfill.missing(run)),
        reconcile: thenCount((run) => reconciliation.run(run)),
        count: (run) => castFailures.count(run),
      },
    });
  }

  onApplicationBootstrap(): void {
    this.runner.start();
    this.lease.onChange((isLeader) => isLeader && this.sweeping.trigger());
    this.lease.start();
    this.sweeping.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.sweeping.stop();
    await Promise.all([this.lease.stop(), this.runner.stop()]);
  }

  private async sweep(): Promise<void> {
    try {
      if (this.lease.isLeader()) {
        await this.schedule.sweep();
        this.runner.wake();
      }
      await this.guardViews();
    } catch (err) {
      this.log.warn({ event: 'sync.sweep.failed', err }, 'the schedule could not be read; retrying');
    }
  }

  /** At the start, until all are done: views that are created later have their barrier. */
  private async guardViews(): Promise<void> {
    const now = performance.now();
    if (now < this.guardAtMs) return;
    const outcome = await this.views.guardOld();
    if (outcome === 'done') this.guardAtMs = Infinity;
    if (outcome === 'failed') this.guardAtMs = now + GUARD_INTERVAL_MS;
  }
}
