import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Log } from '@relay/platform';
import { IdleRenewals } from '@relay/portals';
import { Loop } from '../loop.js';
import { LOG } from '../tokens.js';

const everyMs = 24 * 3_600_000;
/** At one a second they are done within the time that a process has to end; with a month to go, no day has to do more. */
const portalsADay = 60;

/** Once a day, keeps the tokens of portals that nobody calls from running out. */
@Injectable()
export class IdleRenewalsRunner implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly loop: Loop;

  constructor(renewals: IdleRenewals, @Inject(LOG) log: Log) {
    this.loop = new Loop('idle renewals', everyMs, log, async () => {
      const { renewed, failed } = await renewals.renewIdlePortals(portalsADay);
      if (renewed + failed > 0) log.info({ renewed, failed }, 'tokens of unused portals');
    });
  }

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  /** Before the database is closed: a pair that has been granted is stored. */
  async onModuleDestroy(): Promise<void> {
    await this.loop.stop();
  }
}
