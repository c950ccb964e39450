import { Injectable } from '@nestjs/common';
import { Bitrix24Error, type PortalClient } from '@relay/bitrix24';
import { PortalClients, PortalSettings } from '@relay/portals';
import { INVOICE, isWanted, type MirrorSettings, settingsOf } from '../settings.js';
import type { LeftOut } from './left-out.js';
import { type DescribedType, describeTypes, listTypes } from './portal-types.js';
import type { FoundType, MirroredType } from './type-store.js';

export type Description = DescribedType | { error: unknown };

/** The types of a portal as it lists them now. */
export interface Catalogue {
  found: FoundType[];
  /** Known before, and no longer listed. */
  unlisted: MirroredType[];
  /** For mirrored types, and for unlisted ones. */
  described: Map<number, Description>;
}

/** Reads a portal's smart processes, and selects those that the settings include. */
@Injectable()
export class Catalogues {
  constructor(
    private readonly clients: PortalClients,
    private readonly settings: PortalSettings,
  ) {}

  /**
   * @param leftOut collects invalid descriptions
   * @throws Bitrix24Error, PortalError
   */
  async read(
    memberId: string,
    known: readonly MirroredType[],
    leftOut: LeftOut,
    signal?: AbortSignal,
  ): Promise<Catalogue> {
    const client = this.clients.for(memberId);
    const settings = await settingsOf(this.settings, memberId);
    const found = await find(client, settings, known, leftOut, signal);
    const listed = new Set(found.map(({ entityTypeId }) => entityTypeId));
    const unlisted = known.filter(
      ({ entityTypeId, state }) => state !== 'deleted' && !listed.has(entityTypeId),
    );
    const asked = [...found.filter(({ isMirrored }) => isMirrored), ...unlisted];
    const ids = asked.map(({ entityTypeId }) => entityTypeId);
    return { found, unlisted, described: await describeTypes(client, ids, leftOut, signal) };
  }
}

async function find(
  client: PortalClient,
  settings: MirrorSettings,
  known: readonly MirroredType[],
  leftOut: LeftOut,
  signal?: AbortSignal,
): Promise<FoundType[]> {
  const listed = await listTypes(client, leftOut, signal).catch((error: unknown) => {
    // The user is no administrator of the CRM; types that the settings name can be mirrored nevertheless.
    const named = settings.types.include;
    if (!named || !isCode(error, 'ACCESS_DENIED')) throw error;
    return named.map((entityTypeId) => ({ entityTypeId, title: `${entityTypeId}`, code: null }));
  });
  // No list contains invoices.
  const hasInvoices = settings.invoices || known.some(({ entityTypeId }) => entityTypeId === INVOICE);
  const invoices = { entityTypeId: INVOICE, title: 'Invoices', code: 'SMART_INVOICE' };
  const types = listed.filter(({ entityTypeId }) => entityTypeId !== INVOICE);
  return [...types, ...(hasInvoices ? [invoices] : [])].map((type) => ({
    ...type,
    isMirrored: isWanted(settings, type.entityTypeId),
  }));
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Bitrix24Error && error.code === code;
}
