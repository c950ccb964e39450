import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { LeaderLease, LOG, type Log, PeriodicJob } from '@relay/platform';
import { StaleTokenRefresher } from '@relay/portals';

const EVERY_MS = 24 * 3_600_000;
/** Sixty thousand portals of one install day fit into the month that is left; at one a second it takes half an hour a day. */
const PORTALS_A_DAY = 2_000;

/** Once a day, refreshes the tokens of idle portals before they expire. */
@Injectable()
export class StaleTokenRefresherRunner implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly periodic: PeriodicJob;
  private readonly ending = new AbortController();

  constructor(
    refresher: StaleTokenRefresher,
    private readonly lease: LeaderLease,
    @Inject(LOG) log: Log,
  ) {
    this.periodic = new PeriodicJob('token keep-alive', EVERY_MS, log, async () => {
      if (!lease.isLeader()) return;
      const { refreshed, failed } = await refresher.refreshStaleTokens(PORTALS_A_DAY, this.ending.signal);
      if (refreshed + failed > 0)
        log.info({ refreshed, failed }, 'the tokens of unused portals were checked');
    });
  }

  onApplicationBootstrap(): void {
    this.periodic.start();
    this.lease.onChange((isLeader) => isLeader && this.periodic.trigger());
  }

  /** Runs before the database is closed: a granted pair is stored. */
  async onModuleDestroy(): Promise<void> {
    this.ending.abort();
    await this.periodic.stop();
  }
}
