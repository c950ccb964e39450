import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { CONSUMER_LOG, DATABASE_URL, TASK_CONCURRENCY } from '@relay/consumer';
import { JobRunner, PortalJobs } from '@relay/jobs';
import { LeaderLease, type Log, PeriodicJob } from '@relay/platform';
import { OFFLINE_PULLER } from '@relay/portals';
import { DataSource } from 'typeorm';
import { CATCH_UP_JOB, CatchUp } from './catch-up.js';
import { QueuePoller } from './queue-poller.js';
import { PollStateStore } from './poll-state-store.js';

const SWEEP_INTERVAL_MS = 2_000;
const MAX_DUE = 200;
/** Longer than the pause between two polls of a busy portal: if its last poll is older, no process has polled since. */
const DOWNTIME_MS = 60_000;
/** In slots of their own: portals that list slowly, or much, hold up the reading of no queue. */
const CATCH_UP_CONCURRENCY = 4;
const PULL_JOB = 'pull';

/**
 * Polls portals by jobs, whose lease makes one process at a time the reader of a queue; a process that dies is followed
 * by another. One process, the leader, finds the portals that are due.
 */
@Injectable()
export class PullerRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly pulls: JobRunner;
  private readonly catchUps: JobRunner;
  private readonly lease: LeaderLease;
  private readonly sweeping: PeriodicJob;
  private isFirstSweep = true;

  constructor(
    dataSource: DataSource,
    poller: QueuePoller,
    private readonly catchUp: CatchUp,
    private readonly store: PollStateStore,
    private readonly jobs: PortalJobs,
    @Inject(CONSUMER_LOG) private readonly log: Log,
    @Inject(TASK_CONCURRENCY) concurrency: number,
    @Inject(DATABASE_URL) databaseUrl: string,
  ) {
    this.lease = new LeaderLease({ databaseUrl, name: OFFLINE_PULLER, log });
    this.sweeping = new PeriodicJob(OFFLINE_PULLER, SWEEP_INTERVAL_MS, log, () => this.sweep());
    const options = { dataSource, consumer: OFFLINE_PULLER, log };
    this.pulls = new JobRunner({
      ...options,
      concurrency,
      handlers: {
        [PULL_JOB]: async ({ job, signal }) => ({ records: await poller.poll(job.memberId, signal) }),
      },
    });
    this.catchUps = new JobRunner({
      ...options,
      concurrency: CATCH_UP_CONCURRENCY,
      handlers: { [CATCH_UP_JOB]: (run) => catchUp.run(run) },
    });
  }

  onApplicationBootstrap(): void {
    this.pulls.start();
    this.catchUps.start();
    this.lease.onChange((isLeader) => {
      this.isFirstSweep = true;
      if (isLeader) this.sweeping.trigger();
    });
    this.lease.start();
    this.sweeping.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.sweeping.stop();
    await Promise.all([this.lease.stop(), this.pulls.stop(), this.catchUps.stop()]);
  }

  private async sweep(): Promise<void> {
    if (!this.lease.isLeader()) return;
    if (this.isFirstSweep) {
      const overdue = await this.store.makeAllDue(DOWNTIME_MS);
      this.isFirstSweep = false;
      if (overdue > 0)
        this.log.info({ portals: overdue }, 'offline queues that were not read for a while are read now');
    }
    const due = await this.store.leaseDue(MAX_DUE);
    await this.jobs.requestAll(OFFLINE_PULLER, due, PULL_JOB);
    const missed = await this.catchUp.due();
    await this.jobs.requestAll(OFFLINE_PULLER, [...missed.keys()], CATCH_UP_JOB);
    // After that: of a second request no second job results.
    await this.catchUp.saveRequested(missed);
    if (due.length > 0) this.pulls.wake();
    if (missed.size > 0) this.catchUps.wake();
  }
}
