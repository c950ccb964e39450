import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { MirrorStore } from '../items/mirror-store.js';
import { isPortalError } from '../items/error-scope.js';
import { Catalogues, type Catalogue, isCode } from '../smart-process-types/catalogue.js';
import { LeftOut } from '../smart-process-types/field.js';
import { type MirroredType, TypeStore } from '../smart-process-types/type-store.js';
import { ViewSynchronizer } from '../views/view-synchronizer.js';
import { SuffixedEvents } from './suffixed-events.js';

/** A type that is mirrored and readable. */
export interface RefreshedType extends MirroredType {
  /** The largest id of its items. */
  lastId: string;
}

/** The result of a refresh of the portal's types. */
interface RefreshedTypes {
  /** Types whose items must be read. */
  types: RefreshedType[];
  leftOut: LeftOut;
  /** Why types could not be described. */
  failures: unknown[];
}

/** Updates `mirror.types` and the views to the types and fields of the portal. */
@Injectable()
export class TypeRefresh {
  constructor(
    private readonly catalogues: Catalogues,
    private readonly store: TypeStore,
    private readonly items: MirrorStore,
    private readonly views: ViewSynchronizer,
    private readonly suffixed: SuffixedEvents,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** @throws Bitrix24Error, PortalError */
  async refresh(memberId: string, signal?: AbortSignal): Promise<RefreshedTypes> {
    const leftOut = new LeftOut();
    // Before the portal is asked: items that later reads bring of a recreated type are not removed.
    const upTo = await this.items.latestRead();
    const known = await this.store.all(memberId);
    const catalogue = await this.catalogues.read(memberId, known, leftOut, signal);
    await this.store.save(memberId, catalogue.found);
    await this.markUnlistedDeleted(memberId, catalogue, upTo);
    for (const { entityTypeId, isMirrored } of catalogue.found) {
      if (!isMirrored) await this.views.remove(memberId, entityTypeId);
    }
    const { types, failures } = await this.saveDescribed(memberId, catalogue, leftOut);
    this.logLeftOut(memberId, leftOut);
    await this.views.sync(memberId, types);
    await this.suffixed.updateOverrides(memberId, types, {
      hasOthers: catalogue.found.some(({ isMirrored }) => !isMirrored),
      hasNewType: types.some(({ entityTypeId }) => known.every((type) => type.entityTypeId !== entityTypeId)),
    });
    return { types, leftOut, failures };
  }

  private logLeftOut(memberId: string, leftOut: LeftOut): void {
    if (leftOut.isEmpty()) return;
    const { counts, examples } = leftOut;
    this.log.warn(
      { event: 'sync.types.left_out', memberId, leftOut: counts, examples },
      'invalid parts of the type descriptions of the portal are left out',
    );
  }

  /** Not listed and not found: deleted. Not listed, yet described: the list was incomplete, and the type stays. */
  private async markUnlistedDeleted(
    memberId: string,
    { unlisted, described }: Catalogue,
    upTo: string,
  ): Promise<void> {
    for (const { entityTypeId } of unlisted) {
      const description = described.get(entityTypeId);
      if (!description || !('error' in description) || !isCode(description.error, 'NOT_FOUND')) continue;
      await this.store.markDeleted(memberId, entityTypeId, upTo);
      await this.views.remove(memberId, entityTypeId);
      this.log.info({ memberId, entityTypeId }, 'the portal has deleted a smart process');
    }
  }

  /** A type that this user cannot read now does not block the others. */
  private async saveDescribed(
    memberId: string,
    { found, described }: Catalogue,
    leftOut: LeftOut,
  ): Promise<{ types: RefreshedType[]; failures: unknown[] }> {
    const lastIds = new Map<number, string>();
    const failures: unknown[] = [];
    for (const { entityTypeId, title, isMirrored } of found) {
      if (!isMirrored) continue;
      const description = described.get(entityTypeId);
      if (description && 'fields' in description) {
        await this.store.saveFields(memberId, entityTypeId, description.fields);
        lastIds.set(entityTypeId, description.lastId);
        continue;
      }
      const { error } = description ?? {};
      if (isPortalError(error)) throw error;
      failures.push(error);
      leftOut.add('types', title);
      this.log.warn(
        { event: 'sync.type.unreadable', memberId, entityTypeId, err: error },
        'a smart process cannot be read',
      );
    }
    const types = (await this.store.all(memberId)).flatMap((type) => {
      const lastId = lastIds.get(type.entityTypeId);
      return type.state === 'mirrored' && lastId !== undefined ? [{ ...type, lastId }] : [];
    });
    return { types, failures };
  }
}
