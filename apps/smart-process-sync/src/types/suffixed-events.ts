import { Injectable } from '@nestjs/common';
import { Bitrix24Error, listOf, type PortalClient } from '@relay/bitrix24';
import { formatEventName } from '@relay/events';
import { PortalClients, PortalCache, Subscriptions } from '@relay/portals';
import { z } from 'zod';
import { PortalSyncStates } from '../schedule/portal-sync-state.js';
import { CONSUMER } from '../settings.js';

/** The basic events, of all smart processes at once. */
export const ITEM_EVENTS = ['ONCRMDYNAMICITEMADD', 'ONCRMDYNAMICITEMUPDATE', 'ONCRMDYNAMICITEMDELETE'];

/** Three handlers each. */
const FEW_TYPES = 5;

const offered = listOf(z.string());

/**
 * Which item events a portal is to send: those of a single smart process each (`ONCRMDYNAMICITEMADD_147`), where it offers
 * them and few of its types are mirrored, so that it does not call us for the others; else the basic ones, which know a new
 * type at once
 * (`api-reference/crm/universal/events/index.md`).
 */
@Injectable()
export class SuffixedEvents {
  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly portalCache: PortalCache,
    private readonly clients: PortalClients,
    private readonly syncStates: PortalSyncStates,
  ) {}

  /**
   * @param hasOthers the portal has types that are not mirrored: without any, the basic events bring nothing else
   * @param hasNewType one whose events are not bound yet: what it misses until then is made good soon after
   * @throws Bitrix24Error when the portal cannot be asked now
   */
  async updateOverrides(
    memberId: string,
    types: readonly { entityTypeId: number }[],
    { hasOthers, hasNewType }: { hasOthers: boolean; hasNewType: boolean },
  ): Promise<void> {
    // Before the consumer's first start has ended, nothing is recorded, and there is nothing to choose in place of.
    const usual = (await this.subscriptions.byConsumer()).get(CONSUMER);
    if (!usual || !(await this.portalCache.find(memberId))) return;
    const suffixed = types.flatMap(({ entityTypeId }) =>
      ITEM_EVENTS.map((name) => formatEventName(name, entityTypeId)),
    );
    const isFew = hasOthers && types.length > 0 && types.length <= FEW_TYPES;
    const isChosen = isFew && (await this.offers(this.clients.for(memberId), suffixed));
    const others = usual.filter((name) => !ITEM_EVENTS.includes(name));
    await this.subscriptions.override(CONSUMER, memberId, isChosen ? [...others, ...suffixed] : undefined);
    if (isChosen && hasNewType) await this.syncStates.reconcileSoon(memberId);
  }

  /** A webhook may not ask, and has no handlers of ours. */
  private async offers(client: PortalClient, names: readonly string[]): Promise<boolean> {
    try {
      const { result } = await client.call('events');
      const all = new Set(offered.parse(result).map((name) => name.toUpperCase()));
      return names.every((name) => all.has(name));
    } catch (error) {
      if (error instanceof Bitrix24Error && error.recovery !== 'never') throw error;
      return false;
    }
  }
}
