import { Injectable } from '@nestjs/common';
import type { PortalEvent } from '@relay/events';
import { PortalCache, PortalRepository } from '@relay/portals';
import { EventBindingReconciler } from '../subscriptions/event-binding-reconciler.js';
import { TestEvents } from './test-events.js';

/** What the gateway itself does about an event, before it goes to whoever subscribed. */
@Injectable()
export class Lifecycle {
  constructor(
    private readonly portalRepository: PortalRepository,
    private readonly portalCache: PortalCache,
    private readonly binder: EventBindingReconciler,
    private readonly tests: TestEvents,
  ) {}

  /** Resolves when the gateway's own part is done. The event must be proved. */
  async heed(event: PortalEvent): Promise<void> {
    // They stay where they are (settings/app-installation/); older versions dropped them, and said it only here.
    if (event.name === 'ONAPPUPDATE') await this.binder.rebind(event.memberId);
    if (event.name === 'ONAPPUNINSTALL') await this.forget(event);
    this.tests.onTestEvent(event.memberId, event.name);
  }

  /** `CLEAN` says whether the user wants the data gone, too (api-reference/common/events/on-app-uninstall.md). */
  private async forget({ memberId, data }: PortalEvent): Promise<void> {
    await this.portalRepository.uninstall(memberId, { clean: data.CLEAN === '1' });
    // Its last events may come in the moment before the announcement of it.
    this.portalCache.expire(memberId);
  }
}
