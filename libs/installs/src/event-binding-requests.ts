import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { PortalJobs } from '@relay/jobs';
import { PeriodicJob, type Log } from '@relay/platform';
import type { EventBindings } from '@relay/portals';

/** Of the jobs that the control plane runs. */
export const CONTROL_PLANE = 'control-plane';
/** The job that binds the events of a portal that was installed, or dropped its handlers, a moment ago. */
export const BIND_JOB = 'bind';

const RETRY_MS = 5_000;

/** Has the control plane bind a portal's events, by a job: it begins within a second, and survives its process. */
export class EventBindingRequests implements OnApplicationBootstrap, OnApplicationShutdown {
  /** Portals whose recorded bindings are outdated, while the database does not answer. */
  private readonly outdated = new Set<string>();
  private readonly retry: PeriodicJob;

  constructor(
    private readonly jobs: PortalJobs,
    private readonly bindings: EventBindings,
    private readonly log: Log,
  ) {
    this.retry = new PeriodicJob('event bindings', RETRY_MS, log, () => this.forgetOutdated());
  }

  onApplicationBootstrap(): void {
    this.retry.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.retry.stop();
  }

  /** Right after an install, which has deleted the records of failed attempts. Never rejects: a sweep finds it, too. */
  async request(memberId: string): Promise<void> {
    try {
      await this.jobs.request(CONTROL_PLANE, memberId, BIND_JOB, 'interactive');
    } catch (err) {
      this.log.warn(
        { event: 'bindings.request.failed', memberId, err },
        'the binding of events could not be requested; the next sweep of the control plane does it',
      );
    }
  }

  /**
   * The portal may have dropped our handlers (settings/app-installation/): the existing ones are read, and the others
   * bound again, also while the database is down, since Bitrix24 does not repeat this event.
   */
  async rebind(memberId: string): Promise<void> {
    this.outdated.add(memberId);
    try {
      await this.forgetOutdated();
    } catch (error) {
      this.retry.trigger();
      throw error;
    }
  }

  private async forgetOutdated(): Promise<void> {
    for (const memberId of this.outdated) {
      await this.bindings.forget(memberId);
      this.outdated.delete(memberId);
      await this.request(memberId);
    }
  }
}
