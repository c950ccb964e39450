import { Inject, Injectable } from '@nestjs/common';
import { Bitrix24Error } from '@relay/bitrix24';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { MirrorStore } from '../mirror-store.js';
import { ViewKeeper } from '../views/view-keeper.js';
import { Catalogues, type Catalogue, isCode } from './catalogue.js';
import { SuffixedEvents } from './suffixed-events.js';
import { type MirroredType, TypeStore } from './type-store.js';

/** A type that is mirrored, and can be read now. */
export interface RefreshedType extends MirroredType {
  /** The largest id of its items. */
  lastId: string;
}

/** Brings `mirror.types` and the views to what the portal lists and describes now. */
@Injectable()
export class TypeRefresh {
  constructor(
    private readonly catalogues: Catalogues,
    private readonly store: TypeStore,
    private readonly items: MirrorStore,
    private readonly views: ViewKeeper,
    private readonly suffixed: SuffixedEvents,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /**
   * @returns the types whose items are to be read
   * @throws Bitrix24Error, PortalError
   */
  async refresh(memberId: string, signal?: AbortSignal): Promise<RefreshedType[]> {
    // Before the portal is asked: what later reads bring of a type that was made again is not taken away.
    const upTo = await this.items.latestRead();
    const known = await this.store.all(memberId);
    const catalogue = await this.catalogues.read(memberId, known, signal);
    await this.store.save(memberId, catalogue.found);
    await this.settleUnlisted(memberId, catalogue, upTo);
    for (const { entityTypeId, isMirrored } of catalogue.found) {
      if (!isMirrored) await this.views.remove(memberId, entityTypeId);
    }
    const types = await this.keepDescribed(memberId, catalogue);
    await this.views.make(memberId, types);
    await this.suffixed.choose(memberId, types, {
      hasOthers: catalogue.found.some(({ isMirrored }) => !isMirrored),
      hasNewType: types.some(({ entityTypeId }) => known.every((type) => type.entityTypeId !== entityTypeId)),
    });
    return types;
  }

  /** Not listed and not known: gone. Not listed, yet described: the list was not whole, and it stays. */
  private async settleUnlisted(
    memberId: string,
    { unlisted, described }: Catalogue,
    upTo: string,
  ): Promise<void> {
    for (const { entityTypeId } of unlisted) {
      const description = described.get(entityTypeId);
      if (!description || !('error' in description) || !isCode(description.error, 'NOT_FOUND')) continue;
      await this.store.markDeleted(memberId, entityTypeId, upTo);
      await this.views.remove(memberId, entityTypeId);
      this.log.info({ memberId, entityTypeId }, 'a smart process is gone from its portal');
    }
  }

  /** One that cannot be read now, by this user, keeps none of the others back. */
  private async keepDescribed(memberId: string, { found, described }: Catalogue): Promise<RefreshedType[]> {
    const lastIds = new Map<number, string>();
    for (const { entityTypeId, isMirrored } of found) {
      if (!isMirrored) continue;
      const description = described.get(entityTypeId);
      if (description && 'fields' in description) {
        await this.store.saveFields(memberId, entityTypeId, description.fields);
        lastIds.set(entityTypeId, description.lastId);
      } else {
        if (!isOfType(description?.error)) throw description?.error;
        this.log.warn({ memberId, entityTypeId, err: description?.error }, 'a smart process cannot be read');
      }
    }
    return (await this.store.all(memberId)).flatMap((type) => {
      const lastId = lastIds.get(type.entityTypeId);
      return type.state === 'mirrored' && lastId !== undefined ? [{ ...type, lastId }] : [];
    });
  }
}

/** It is about this type alone; the others go on. */
function isOfType(error: unknown): boolean {
  return !(error instanceof Bitrix24Error) || ['NOT_FOUND', 'ACCESS_DENIED'].includes(error.code);
}
