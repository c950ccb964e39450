import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { EventBindings, type ListedPortal, PortalList, PortalTasks } from '@relay/portals';
import { CONSUMER } from '../settings.js';
import { dueWork, type DueWork } from './due-work.js';
import { type PortalNotes, PortalNotesStore } from './portal-notes.js';

/** Asks for the work that no operator asks for. Several processes may: one task comes of it. */
@Injectable()
export class Schedule {
  constructor(
    private readonly portals: PortalList,
    private readonly bindings: EventBindings,
    private readonly notes: PortalNotesStore,
    private readonly tasks: PortalTasks,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** Looks at every portal once. One that fails keeps none of the others back. */
  async sweep(now = new Date()): Promise<void> {
    const notes = await this.notes.all();
    for (const portal of await this.portals.all()) {
      try {
        const due = await this.dueAt(portal, notes.get(portal.memberId), now);
        if (due) await this.ask(portal, due);
      } catch (err) {
        this.log.warn({ memberId: portal.memberId, err }, 'the mirror of a portal could not be scheduled');
      }
    }
  }

  private async dueAt(
    portal: ListedPortal,
    notes: PortalNotes | undefined,
    now: Date,
  ): Promise<DueWork | undefined> {
    const isNew = portal.state === 'installed' && !notes?.backfillAskedAt;
    const bound = isNew ? (await this.bindings.of(portal.memberId)).keys() : [];
    return dueWork(portal, notes, bound, now);
  }

  /** Asked for first, noted after: killed in between, it is asked for twice. */
  private async ask({ memberId, settings }: ListedPortal, due: DueWork): Promise<void> {
    const own = settings[CONSUMER] ?? null;
    switch (due) {
      case 'first':
        await this.tasks.request(CONSUMER, memberId, 'complete');
        return await this.notes.noteFirst(memberId, own);
      case 'settings':
        await this.tasks.request(CONSUMER, memberId, 'complete');
        return await this.notes.noteSettings(memberId, own);
      case 'back':
      case 'day':
        await this.tasks.request(CONSUMER, memberId, 'reconcile');
        return await this.notes.noteReconciliation(memberId);
      case 'away':
        return await this.notes.noteAway(memberId);
      default:
        return assertUnreachable(due);
    }
  }
}

function assertUnreachable(value: never): never {
  throw new TypeError(`Unknown work: ${String(value)}`);
}
