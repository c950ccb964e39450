import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { AwaitedEvents } from '@relay/portals';
import { LOG, type Log, PeriodicJob } from '@relay/platform';
import { DataSource } from 'typeorm';

/** Notes the arrival of events for which an operator waits (`relay portals test`), whichever gateway gets them. */
@Injectable()
export class AwaitedEventRecorder implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly awaited: AwaitedEvents;
  private readonly refreshing: PeriodicJob;

  constructor(
    dataSource: DataSource,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.awaited = new AwaitedEvents(dataSource);
    this.refreshing = new PeriodicJob('awaited events', this.awaited.refreshMs, log, () =>
      this.awaited.refresh(),
    );
  }

  onApplicationBootstrap(): void {
    this.refreshing.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.refreshing.stop();
  }

  /** Returns at once: an event is not answered later because somebody tests its portal. */
  onEvent(memberId: string, name: string): void {
    if (!this.awaited.isAwaited(memberId, name)) return;
    this.awaited.onEvent(memberId, name).catch((err: unknown) => {
      this.log.warn(
        { event: 'gateway.event_test.unstored', memberId, err },
        'the arrival of a test event could not be stored',
      );
    });
  }
}
