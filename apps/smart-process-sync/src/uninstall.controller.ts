import { Controller } from '@nestjs/common';
import { OnPortalEvents, type PortalBatch } from '@relay/bus';
import { PortalCache } from '@relay/portals';
import { MirrorStore } from './mirror-store.js';
import { PortalSyncStates } from './schedule/portal-sync-state.js';
import { TypeStore } from './types/type-store.js';
import { ViewStore } from './views/view-store.js';

/**
 * Forgets a portal whose user wanted the application's data gone when they uninstalled it: `CLEAN` is 1
 * (api-reference/common/events/on-app-uninstall.md). With 0 the mirror stays as it was, for the next install.
 */
@Controller()
export class UninstallController {
  constructor(
    private readonly portalCache: PortalCache,
    private readonly store: MirrorStore,
    private readonly types: TypeStore,
    private readonly views: ViewStore,
    private readonly syncStates: PortalSyncStates,
  ) {}

  @OnPortalEvents('ONAPPUNINSTALL', { merge: false })
  async forget({ memberId, entries }: PortalBatch): Promise<void> {
    if (!entries.some(({ data }) => data?.CLEAN === '1')) return;
    // Before the portal is looked up: an install that comes after that look keeps what its events lead to.
    const upTo = await this.store.latestRead();
    if (await this.isBack(memberId)) return;
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

  /** The event can come late, after the next install, whose items are live already. */
  private async isBack(memberId: string): Promise<boolean> {
    // What was known a moment ago may be from before the uninstall.
    this.portalCache.expire(memberId);
    const portal = await this.portalCache.find(memberId, { fresh: true });
    return portal !== undefined && portal.state !== 'uninstalled';
  }
}
