import { Inject, Injectable } from '@nestjs/common';
import { Bitrix24Error, type PortalClient } from '@relay/bitrix24';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { PortalClients, PortalDirectory, PortalSettings } from '@relay/portals';
import { MirrorStore } from '../mirror-store.js';
import { INVOICE, isWanted, type MirrorSettings, settingsOf } from '../settings.js';
import { ViewStore } from '../views/view-store.js';
import { type DescribedType, describeTypes, listTypes } from './portal-types.js';
import { SuffixedEvents } from './suffixed-events.js';
import { type FoundType, type MirroredType, TypeStore } from './type-store.js';

/** A type that is mirrored, and can be read now. */
export interface RefreshedType extends MirroredType {
  /** The largest id of its items. */
  lastId: string;
}

type Description = DescribedType | { error: unknown };

/** Brings `mirror.types` and the views to what the portal lists and describes now. */
@Injectable()
export class TypeRefresh {
  constructor(
    private readonly clients: PortalClients,
    private readonly directory: PortalDirectory,
    private readonly settings: PortalSettings,
    private readonly store: TypeStore,
    private readonly items: MirrorStore,
    private readonly views: ViewStore,
    private readonly suffixed: SuffixedEvents,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /**
   * @returns the types whose items are to be read
   * @throws Bitrix24Error, PortalError
   */
  async refresh(memberId: string, signal?: AbortSignal): Promise<RefreshedType[]> {
    const client = this.clients.for(memberId);
    const settings = await settingsOf(this.settings, memberId);
    // Before the portal is asked: what later reads bring of a type that was made again is not taken away.
    const upTo = await this.items.latestRead();
    const known = await this.store.all(memberId);
    const found = await this.find(client, settings, known, signal);
    await this.store.save(memberId, found);
    const unlisted = known.filter(
      (type) =>
        type.state !== 'deleted' && found.every(({ entityTypeId }) => entityTypeId !== type.entityTypeId),
    );
    const mirrored = found.filter(({ isMirrored }) => isMirrored);
    const ids = [...mirrored, ...unlisted].map(({ entityTypeId }) => entityTypeId);
    const described = await describeTypes(client, ids, signal);
    for (const { entityTypeId } of unlisted) {
      await this.settleUnlisted(memberId, entityTypeId, described.get(entityTypeId), upTo);
    }
    for (const { entityTypeId, isMirrored } of found) {
      if (!isMirrored) await this.views.remove(memberId, entityTypeId);
    }
    const types = await this.keepDescribed(memberId, mirrored, described);
    await this.makeViews(memberId, types);
    await this.suffixed.choose(memberId, client, types);
    return types;
  }

  private async find(
    client: PortalClient,
    settings: MirrorSettings,
    known: readonly MirroredType[],
    signal?: AbortSignal,
  ): Promise<FoundType[]> {
    const listed = await listTypes(client, signal).catch((error: unknown) => {
      // The user is no administrator of the CRM; types that the settings name can be mirrored all the same.
      const named = settings.types.include;
      if (!named || !isCode(error, 'ACCESS_DENIED')) throw error;
      return named.map((entityTypeId) => ({ entityTypeId, title: `${entityTypeId}`, code: null }));
    });
    // Invoices are in no list.
    const hasInvoices = settings.invoices || known.some(({ entityTypeId }) => entityTypeId === INVOICE);
    const invoices = { entityTypeId: INVOICE, title: 'Invoices', code: 'SMART_INVOICE' };
    return [...listed, ...(hasInvoices ? [invoices] : [])].map((type) => ({
      ...type,
      isMirrored: isWanted(settings, type.entityTypeId),
    }));
  }

  /** Not listed and not known: gone. Not listed, yet described: the list was not whole, and it stays. */
  private async settleUnlisted(
    memberId: string,
    entityTypeId: number,
    description: Description | undefined,
    upTo: string,
  ): Promise<void> {
    if (!description || !('error' in description) || !isCode(description.error, 'NOT_FOUND')) return;
    await this.store.markDeleted(memberId, entityTypeId, upTo);
    await this.views.remove(memberId, entityTypeId);
    this.log.info({ memberId, entityTypeId }, 'a smart process is gone from its portal');
  }

  /** One that cannot be read now, by this user, keeps none of the others back. */
  private async keepDescribed(
    memberId: string,
    mirrored: readonly FoundType[],
    described: ReadonlyMap<number, Description>,
  ): Promise<RefreshedType[]> {
    const lastIds = new Map<number, string>();
    for (const { entityTypeId } of mirrored) {
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

  private async makeViews(memberId: string, types: readonly RefreshedType[]): Promise<void> {
    const portal = await this.directory.find(memberId);
    for (const type of types) {
      const outcome = await this.views.refresh({ ...type, memberId, domain: portal?.domain ?? memberId });
      const { entityTypeId } = type;
      if (outcome.made === 'failed') {
        this.log.warn({ memberId, entityTypeId, err: outcome.error }, 'a view stays as it was');
      } else if (outcome.made !== 'unchanged') {
        this.log.info({ memberId, entityTypeId, view: `mirror.${outcome.name}` }, `view ${outcome.made}`);
      }
    }
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Bitrix24Error && error.code === code;
}

/** It is about this type alone; the others go on. */
function isOfType(error: unknown): boolean {
  return !(error instanceof Bitrix24Error) || ['NOT_FOUND', 'ACCESS_DENIED'].includes(error.code);
}
