import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { LOG, type Log, PeriodicJob } from '@relay/platform';
import { AwaitedEvents, EventArrivals } from '@relay/portals';
import { DataSource } from 'typeorm';

/** The control plane notices silence after forty minutes at the earliest. */
const FLUSH_EVERY_MS = 10_000;

/**
 * Records the arrival of events: when each portal was heard of, so that the control plane notices when one is not, and the test
 * events for which an operator waits (`relay portals test`), whichever gateway gets them.
 */
@Injectable()
export class ArrivalRecorder implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly awaited: AwaitedEvents;
  private readonly jobs: readonly PeriodicJob[];

  constructor(
    private readonly arrivals: EventArrivals,
    dataSource: DataSource,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.awaited = new AwaitedEvents(dataSource);
    this.jobs = [
      new PeriodicJob('arrivals of events', FLUSH_EVERY_MS, log, () => arrivals.flush()),
      new PeriodicJob('awaited events', this.awaited.refreshMs, log, () => this.awaited.refresh()),
    ];
  }

  onApplicationBootstrap(): void {
    for (const job of this.jobs) job.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.jobs.map((job) => job.stop()));
    // What is lost is a sign of life of some seconds.
    await this.arrivals.flush().catch(() => undefined);
  }

  /** Returns at once: an event is not answered later because somebody tests its portal. */
  onEvent(memberId: string, name: string): void {
    this.arrivals.note(memberId, name);
    if (!this.awaited.isAwaited(memberId, name)) return;
    this.awaited.onEvent(memberId, name).catch((err: unknown) => {
      this.log.warn(
        { event: 'gateway.event_test.unstored', memberId, err },
        'the arrival of a test event could not be stored',
      );
    });
  }
}
