import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import { PortalJobs } from '@relay/jobs';
import type { Log } from '@relay/platform';
import { EventBindings, EventGaps, type ListedPortal, PortalQuery } from '@relay/portals';
import { isDeepStrictEqual } from 'node:util';
import { CONSUMER, ITEM_EVENTS } from '../smart-process-types/settings.js';
import { type PortalSyncState, PortalSyncStateStore } from './portal-sync-state-store.js';

/** Requests the work that no operator requests. One process does this at a time as a rule; of a second request no second job results. */
@Injectable()
export class Schedule {
  constructor(
    private readonly portals: PortalQuery,
    private readonly bindings: EventBindings,
    private readonly gaps: EventGaps,
    private readonly syncStates: PortalSyncStateStore,
    private readonly jobs: PortalJobs,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** Checks every portal once. A failure does not block the others. */
  async sweep(now = new Date()): Promise<void> {
    const states = await this.syncStates.all();
    const gaps = await this.gaps.lastEnded();
    for (const portal of await this.portals.all()) {
      try {
        const state = states.get(portal.memberId);
        const gap = gaps.get(portal.memberId) ?? '0';
        const due = await this.findDue(portal, state, gap, now);
        if (due) await this.enqueue(portal, due, gap);
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
    gap: string,
    now: Date,
  ): Promise<DueWork | undefined> {
    const isNew = isCallable(portal.state) && !state?.backfillRequestedAt;
    const bound = isNew ? (await this.bindings.of(portal.memberId)).keys() : [];
    return findDueWork(portal, state, bound, now, gap);
  }

  /** Requested first, recorded after: a crash in between causes a second request. */
  private async enqueue({ memberId, settings }: ListedPortal, due: DueWork, gap: string): Promise<void> {
    const own = settings[CONSUMER] ?? null;
    switch (due) {
      case 'first':
        await this.jobs.request(CONSUMER, memberId, 'complete');
        return await this.syncStates.recordFirst(memberId, own, gap);
      case 'settings':
        await this.jobs.request(CONSUMER, memberId, 'complete');
        return await this.syncStates.recordSettings(memberId, own);
      case 'reinstalled':
      case 'missed':
      case 'daily':
        await this.jobs.request(CONSUMER, memberId, 'reconcile');
        return await this.syncStates.recordReconciliation(memberId, gap);
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

/**
 * The work that a portal needs now:
 * - `first`: it is new, so everything must be read;
 * - `settings`: an operator has changed what is mirrored;
 * - `reinstalled`: it is installed again, and changes of the meantime are unknown;
 * - `missed`: for a time it sent no events, or none that arrived (`EventGaps`);
 * - `daily`: its last reconciliation was a day ago;
 * - `uninstalled`: no work; its state is recorded.
 */
type DueWork = 'first' | 'settings' | 'reinstalled' | 'missed' | 'daily' | 'uninstalled';

/** After this time a portal whose handlers cannot be bound is mirrored nevertheless; its changes show a day later. */
const BINDING_TIMEOUT_MS = 120_000;

export function findDueWork(
  portal: Pick<ListedPortal, 'state' | 'kind' | 'settings' | 'installedAt'>,
  state: PortalSyncState | undefined,
  boundNames: Iterable<string>,
  now: Date,
  lastGap = '0',
): DueWork | undefined {
  if (portal.state === 'uninstalled')
    return state?.backfillRequestedAt && !state.isUninstalled ? 'uninstalled' : undefined;
  if (!isCallable(portal.state)) return undefined;
  if (!state?.backfillRequestedAt) {
    const isOverdue = now.getTime() - portal.installedAt.getTime() >= BINDING_TIMEOUT_MS;
    return isBound(portal, boundNames) || isOverdue ? 'first' : undefined;
  }
  if (state.isUninstalled) return 'reinstalled';
  if (!isDeepStrictEqual(state.settingsSeen, portal.settings[CONSUMER] ?? null)) return 'settings';
  if (BigInt(lastGap) > BigInt(state.gapSeen)) return 'missed';
  return state.isReconcileDue ? 'daily' : undefined;
}

/** One whose events do not arrive answers all the same, and nothing else brings its changes. */
function isCallable(state: ListedPortal['state']): boolean {
  return state === 'installed' || state === 'unreachable';
}

/** Its changes come as events now, so a later read misses none. A pair of webhooks is bound by hand. */
function isBound({ kind }: Pick<ListedPortal, 'kind'>, boundNames: Iterable<string>): boolean {
  if (kind === 'webhook') return true;
  const names = [...boundNames];
  return ITEM_EVENTS.every((event) => names.some((name) => name === event || name.startsWith(`${event}_`)));
}
