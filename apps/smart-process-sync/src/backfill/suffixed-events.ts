import { Injectable } from '@nestjs/common';
import { Bitrix24Error, listOf, type PortalClient } from '@relay/bitrix24';
import { formatEventName } from '@relay/events';
import { PortalClients, PortalCache, Subscriptions } from '@relay/portals';
import { z } from 'zod';
import { PortalSyncStateStore } from '../schedule/portal-sync-state-store.js';
import { CONSUMER, ITEM_EVENTS } from '../smart-process-types/settings.js';

/** Each type has three handlers. */
const MAX_TYPES = 5;

const eventNames = listOf(z.string());

/**
 * Chooses the item events that a portal sends: those of single smart processes (`ONCRMDYNAMICITEMADD_147`), if the portal
 * offers them and few of its types are mirrored, so that it does not send the others; otherwise the basic ones, which
 * include new types at once
 * (`api-reference/crm/universal/events/index.md`).
 */
@Injectable()
export class SuffixedEvents {
  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly portalCache: PortalCache,
    private readonly clients: PortalClients,
    private readonly syncStates: PortalSyncStateStore,
  ) {}

  /**
   * @param hasOthers the portal has types that are not mirrored: otherwise the basic events send nothing else
   * @param hasNewType one whose events are not bound yet: what it misses until then is read soon after
   * @throws Bitrix24Error if the portal cannot be asked now
   */
  async updateOverrides(
    memberId: string,
    types: readonly { entityTypeId: number }[],
    { hasOthers, hasNewType }: { hasOthers: boolean; hasNewType: boolean },
  ): Promise<void> {
    // Before the end of the consumer's first start no events are recorded, so there are none to override.
    const basic = (await this.subscriptions.byConsumer()).get(CONSUMER);
    if (!basic || !(await this.portalCache.find(memberId))) return;
    const suffixed = types.flatMap(({ entityTypeId }) =>
      ITEM_EVENTS.map((name) => formatEventName(name, entityTypeId)),
    );
    const isFew = hasOthers && types.length > 0 && types.length <= MAX_TYPES;
    const isChosen = isFew && (await this.offers(this.clients.for(memberId), suffixed));
    const others = basic.filter((name) => !ITEM_EVENTS.includes(name));
    await this.subscriptions.override(CONSUMER, memberId, isChosen ? [...others, ...suffixed] : undefined);
    if (isChosen && hasNewType) await this.syncStates.reconcileSoon(memberId);
  }

  /** False for a webhook: it has no rights for this method, and none of our handlers. */
  private async offers(client: PortalClient, names: readonly string[]): Promise<boolean> {
    try {
      const { result } = await client.call('events');
      const all = new Set(eventNames.parse(result).map((name) => name.toUpperCase()));
      return names.every((name) => all.has(name));
    } catch (error) {
      if (error instanceof Bitrix24Error && error.recovery !== 'never') throw error;
      return false;
    }
  }
}
