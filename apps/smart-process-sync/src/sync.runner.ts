import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { CONSUMER_LOG, TASK_CONCURRENCY } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { PortalTasks, type TaskHandler, TaskRunner } from '@relay/portals';
import { DataSource } from 'typeorm';
import { Backfill } from './backfill/backfill.js';
import { Reconciliation } from './reconcile/reconcile.js';
import { Schedule } from './schedule/schedule.js';
import { CONSUMER } from './settings.js';
import { Misfits } from './views/misfits.js';
import { ViewKeeper } from './views/view-keeper.js';

const sweepEveryMs = 3_000;
/** A view that cannot be guarded now has a reader who keeps it for long, or another owner. */
const guardEveryMs = 60_000;

/** Does, beside the events, what operators and the schedule ask for. Stops before the database is closed. */
@Injectable()
export class SyncRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly runner: TaskRunner;
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> = Promise.resolve();
  private isStopped = false;
  private guardAtMs = 0;

  constructor(
    source: DataSource,
    private readonly schedule: Schedule,
    private readonly views: ViewKeeper,
    backfill: Backfill,
    reconciliation: Reconciliation,
    misfits: Misfits,
    tasks: PortalTasks,
    @Inject(CONSUMER_LOG) private readonly log: Log,
    @Inject(TASK_CONCURRENCY) concurrency: number,
  ) {
    const thenCount =
      (handler: TaskHandler): TaskHandler =>
      async (run) => {
        const progress = await handler(run);
        await tasks.request(CONSUMER, run.task.memberId, 'count');
        return progress;
      };
    this.runner = new TaskRunner({
      dataSource: source,
      consumer: CONSUMER,
      log,
      concurrency,
      handlers: {
        /** Asked for by an operator: everything. */
        backfill: thenCount((run) => backfill.all(run)),
        /** Asked for by the schedule, or because the list of types has changed: what was not read before. */
        complete: thenCount((run) => backfill.missing(run)),
        reconcile: thenCount((run) => reconciliation.run(run)),
        count: (run) => misfits.count(run),
      },
    });
  }

  onApplicationBootstrap(): void {
    this.runner.start();
    this.next(0);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.sweeping;
    await this.runner.stop();
  }

  private next(afterMs: number): void {
    if (this.isStopped) return;
    this.timer = setTimeout(() => {
      this.sweeping = this.sweep().finally(() => this.next(sweepEveryMs));
    }, afterMs);
    this.timer.unref();
  }

  private async sweep(): Promise<void> {
    try {
      await this.schedule.sweep();
      this.runner.wake();
      await this.guardViews();
    } catch (err) {
      this.log.warn({ err }, 'the schedule could not be looked at, will be tried again');
    }
  }

  /** At the start, until all are done: whoever makes views from then on makes them with their barrier. */
  private async guardViews(): Promise<void> {
    const now = performance.now();
    if (now < this.guardAtMs) return;
    const outcome = await this.views.guardOld();
    if (outcome === 'done') this.guardAtMs = Infinity;
    if (outcome === 'failed') this.guardAtMs = now + guardEveryMs;
  }
}
