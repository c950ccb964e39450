import type { BusAdmin } from '@relay/bus';
import { type Log, PeriodicJob } from '@relay/platform';
import type { PortalJobs } from '@relay/jobs';
import type { PortalWakes } from '@relay/portals';

/** An operator who resumes a portal watches it; a check reads an index that is usually empty. */
const CHECK_INTERVAL_MS = 2_000;

interface PortalWakerOptions {
  wakes: PortalWakes;
  jobs: PortalJobs;
  admin: BusAdmin;
  /** Every consumer for which events may wait. */
  consumers: () => Promise<string[]>;
  log: Log;
}

/** Makes what waits for a portal due when the portal works again, instead of at its scheduled time. */
export class PortalWaker {
  private readonly periodic: PeriodicJob;

  constructor(private readonly options: PortalWakerOptions) {
    this.periodic = new PeriodicJob('waking portals', CHECK_INTERVAL_MS, options.log, () => this.wakeAll());
  }

  start(): void {
    this.periodic.start();
  }

  async stop(): Promise<void> {
    await this.periodic.stop();
  }

  private async wakeAll(): Promise<void> {
    const { wakes, jobs, log } = this.options;
    for (let claimed = await wakes.claim(); claimed; claimed = await wakes.claim()) {
      const { memberIds } = claimed;
      await jobs.wake(memberIds);
      const woken = await this.wakeEvents(memberIds);
      // Otherwise they are claimed again when this process's lease expires.
      if (woken === undefined) continue;
      await wakes.done(claimed);
      if (woken > 0)
        log.info(
          { portals: memberIds.size, events: woken },
          'the retries of portals that work again are due now',
        );
    }
  }

  /** @returns undefined if it failed for a consumer; the others are not affected */
  private async wakeEvents(memberIds: ReadonlySet<string>): Promise<number | undefined> {
    let woken: number | undefined = 0;
    for (const consumer of await this.options.consumers()) {
      try {
        const count = await this.options.admin.wake(consumer, memberIds);
        if (woken !== undefined) woken += count;
      } catch (err) {
        woken = undefined;
        this.options.log.warn(
          { event: 'portal.wake.failed', err, consumer },
          'the retries of a portal that works again could not be made due; trying again',
        );
      }
    }
    return woken;
  }
}
