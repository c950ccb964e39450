import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { LOG, type Log, PeriodicJob } from '@relay/platform';
import { EventArrivals } from '@relay/portals';

/** The control plane notices silence after forty minutes at the earliest. */
const FLUSH_EVERY_MS = 10_000;

/** Notes when portals are heard of, so that the control plane notices when one is not. */
@Injectable()
export class ArrivalRecorder implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly flushing: PeriodicJob;

  constructor(
    private readonly arrivals: EventArrivals,
    @Inject(LOG) log: Log,
  ) {
    this.flushing = new PeriodicJob('arrivals of events', FLUSH_EVERY_MS, log, () => arrivals.flush());
  }

  onApplicationBootstrap(): void {
    this.flushing.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.flushing.stop();
    // What is lost is a sign of life of some seconds.
    await this.arrivals.flush().catch(() => undefined);
  }

  onEvent(memberId: string, name: string): void {
    this.arrivals.note(memberId, name);
  }
}
