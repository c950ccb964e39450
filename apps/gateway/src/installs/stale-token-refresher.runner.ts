import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Log } from '@relay/platform';
import { StaleTokenRefresher } from '@relay/portals';
import { PeriodicJob } from '../periodic-job.js';
import { LOG } from '../tokens.js';

const EVERY_MS = 24 * 3_600_000;
/** With a month to go that is enough for sixty thousand that were installed on one day; at one a second, half an hour. */
const PORTALS_A_DAY = 2_000;

/** Once a day, keeps the tokens of portals that nobody calls from running out. */
@Injectable()
export class StaleTokenRefresherRunner implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly loop: PeriodicJob;
  private readonly ending = new AbortController();

  constructor(renewals: StaleTokenRefresher, @Inject(LOG) log: Log) {
    this.loop = new PeriodicJob('idle renewals', EVERY_MS, log, async () => {
      const { renewed, failed } = await renewals.refreshStaleTokens(PORTALS_A_DAY, this.ending.signal);
      if (renewed + failed > 0) log.info({ renewed, failed }, 'tokens of unused portals');
    });
  }

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  /** Before the database is closed: a pair that has been granted is stored. */
  async onModuleDestroy(): Promise<void> {
    this.ending.abort();
    await this.loop.stop();
  }
}
