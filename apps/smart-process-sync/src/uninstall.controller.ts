import { Controller } from '@nestjs/common';
import { OnPortalEvents, type PortalBatch } from '@relay/consumer';
import { PortalCache } from '@relay/portals';
import { MirrorStore } from './items/mirror-store.js';
import { PortalSyncStateStore } from './schedule/portal-sync-state-store.js';
import { TypeStore } from './smart-process-types/type-store.js';
import { ViewStore } from './views/view-store.js';

/**
 * Deletes the data of a portal whose user requested this at the uninstall: `CLEAN` is 1
 * (api-reference/common/events/on-app-uninstall.md). With 0 the mirror stays, for the next install.
 */
@Controller()
export class UninstallController {
  constructor(
    private readonly portalCache: PortalCache,
    private readonly store: MirrorStore,
    private readonly types: TypeStore,
    private readonly views: ViewStore,
    private readonly syncStates: PortalSyncStateStore,
  ) {}

  @OnPortalEvents('ONAPPUNINSTALL', { merge: false })
  async forget({ memberId, entries }: PortalBatch<'ONAPPUNINSTALL'>): Promise<void> {
    if (!entries.some(({ data }) => data?.CLEAN === '1')) return;
    // Before the portal is read: data of an install after that read stay.
    const upTo = await this.store.latestRead();
    if (await this.isReinstalled(memberId)) return;
    await this.store.forgetPortal(memberId, upTo);
    await this.forgetTypes(memberId);
  }

  private async forgetTypes(memberId: string): Promise<void> {
    for (const { entityTypeId } of await this.types.all(memberId)) {
      await this.views.remove(memberId, entityTypeId);
    }
    await this.types.forget(memberId);
    await this.syncStates.forget(memberId);
  }

  /** The event can come late, after the next install, whose items are current already. */
  private async isReinstalled(memberId: string): Promise<boolean> {
    // The cached state may be older than the uninstall.
    this.portalCache.expire(memberId);
    const portal = await this.portalCache.find(memberId, { fresh: true });
    return portal !== undefined && portal.state !== 'uninstalled';
  }
}
