import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { PortalJobs } from '@relay/jobs';
import { EventBindings, type ListedPortal, PortalQuery } from '@relay/portals';
import { CONSUMER } from '../types/settings.js';
import { findDueWork, type DueWork } from './due-work.js';
import { type PortalSyncState, PortalSyncStates } from './portal-sync-state.js';

/** Requests the work that no operator requests. One process does this at a time as a rule; of a second request no second job results. */
@Injectable()
export class Schedule {
  constructor(
    private readonly portals: PortalQuery,
    private readonly bindings: EventBindings,
    private readonly syncStates: PortalSyncStates,
    private readonly jobs: PortalJobs,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** Checks every portal once. A failure does not block the others. */
  async sweep(now = new Date()): Promise<void> {
    const states = await this.syncStates.all();
    for (const portal of await this.portals.all()) {
      try {
        const due = await this.findDue(portal, states.get(portal.memberId), now);
        if (due) await this.enqueue(portal, due);
      } catch (err) {
        this.log.warn(
          { event: 'sync.schedule.failed', memberId: portal.memberId, err },
          'the jobs of a portal could not be scheduled',
        );
      }
    }
  }

  private async findDue(
    portal: ListedPortal,
    state: PortalSyncState | undefined,
    now: Date,
  ): Promise<DueWork | undefined> {
    const isNew = portal.state === 'installed' && !state?.backfillRequestedAt;
    const bound = isNew ? (await this.bindings.of(portal.memberId)).keys() : [];
    return findDueWork(portal, state, bound, now);
  }

  /** Requested first, recorded after: a crash in between causes a second request. */
  private async enqueue({ memberId, settings }: ListedPortal, due: DueWork): Promise<void> {
    const own = settings[CONSUMER] ?? null;
    switch (due) {
      case 'first':
        await this.jobs.request(CONSUMER, memberId, 'complete');
        return await this.syncStates.recordFirst(memberId, own);
      case 'settings':
        await this.jobs.request(CONSUMER, memberId, 'complete');
        return await this.syncStates.recordSettings(memberId, own);
      case 'reinstalled':
      case 'daily':
        await this.jobs.request(CONSUMER, memberId, 'reconcile');
        return await this.syncStates.recordReconciliation(memberId);
      case 'uninstalled':
        return await this.syncStates.recordUninstalled(memberId);
      default:
        return assertUnreachable(due);
    }
  }
}

function assertUnreachable(value: never): never {
  throw new TypeError(`Unknown work: ${String(value)}`);
}
