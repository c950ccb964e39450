import { Injectable } from '@nestjs/common';
import { Bitrix24Error, type Command, listOf, PAGE_SIZE, type PortalClient } from '@relay/bitrix24';
import { PortalClients, PortalSettings } from '@relay/portals';
import { z } from 'zod';
import { isItemId } from '../items/item-row.js';
import { type Field, LeftOut, readFields, readText } from './field.js';
import { INVOICE, isWanted, type MirrorSettings, settingsOf } from './settings.js';
import type { FoundType, MirroredType } from './type-store.js';

type Description = DescribedType | { error: unknown };

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
    const read = [...found.filter(({ isMirrored }) => isMirrored), ...unlisted];
    const ids = read.map(({ entityTypeId }) => entityTypeId);
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

/** A smart process as the portal lists it (`api-reference/crm/data-types.md#type`). */
interface ListedType {
  entityTypeId: number;
  title: string;
  code: string | null;
}

export interface DescribedType {
  fields: Field[];
  /** The largest id of its items, 0 when it has none. */
  lastId: string;
}

const text = z
  .union([z.string(), z.number()])
  .nullish()
  .catch(null)
  .transform((value) => readText(value ?? ''));
/** `int` of PostgreSQL has 32 bits. */
const typeId = z
  .union([
    z.int(),
    z
      .string()
      .regex(/^[1-9]\d{0,9}$/)
      .transform(Number),
  ])
  .pipe(z.int32().positive());
const listedType = z
  .object({ entityTypeId: typeId, title: text, code: text })
  .transform((type) => ({ ...type, code: type.code || null }));
const listed = z.object({ types: z.array(z.unknown()) });
/** Far more than any portal has: protects from an endless list. */
const MAX_TYPES = 5_000;

/**
 * Every smart process of the portal (`api-reference/crm/universal/user-defined-object-types/crm-type-list.md`). One with an
 * invalid description is omitted.
 * @throws Bitrix24Error ACCESS_DENIED for a user without administrative rights in the CRM
 */
export async function listTypes(
  client: PortalClient,
  leftOut: LeftOut,
  signal?: AbortSignal,
): Promise<ListedType[]> {
  const types = new Map<number, ListedType>();
  for (let start = 0; start < MAX_TYPES; start += PAGE_SIZE) {
    const { result } = await client.call('crm.type.list', { order: { id: 'ASC' }, start }, { signal });
    const page = listed.safeParse(result);
    if (!page.success) {
      throw new Bitrix24Error('BAD_ANSWER', {
        method: 'crm.type.list',
        detail: 'wrong-shape',
        delivered: 'yes',
      });
    }
    for (const entry of page.data.types) {
      const read = types.size < MAX_TYPES ? listedType.safeParse(entry) : undefined;
      if (read?.success) types.set(read.data.entityTypeId, read.data);
      else leftOut.add('types', exampleOf(entry));
    }
    if (page.data.types.length < PAGE_SIZE) break;
  }
  return [...types.values()];
}

const titled = z.object({ title: text });

function exampleOf(description: unknown): string {
  const read = titled.safeParse(description);
  return read.success ? read.data.title : '';
}

const lastItems = z.object({ items: listOf(z.object({ id: z.custom<number | string>(isItemId) })) });
/** Two commands each. */
const TYPES_PER_REQUEST = 25;

/**
 * The fields and the largest item id of each type, 25 types per request. For a type that could not be read, the error: it
 * may be deleted (`NOT_FOUND`) or hidden from this user (`ACCESS_DENIED`).
 */
async function describeTypes(
  client: PortalClient,
  ids: readonly number[],
  leftOut: LeftOut,
  signal?: AbortSignal,
): Promise<Map<number, DescribedType | { error: unknown }>> {
  const described = new Map<number, DescribedType | { error: unknown }>();
  for (let from = 0; from < ids.length; from += TYPES_PER_REQUEST) {
    const part = ids.slice(from, from + TYPES_PER_REQUEST);
    const commands: Record<string, Command> = {};
    for (const entityTypeId of part) {
      commands[`fields${entityTypeId}`] = { method: 'crm.item.fields', params: { entityTypeId } };
      commands[`last${entityTypeId}`] = {
        method: 'crm.item.list',
        params: { entityTypeId, select: ['id'], order: { id: 'DESC' }, start: -1 },
      };
    }
    const outcomes = await client.batch(commands, { signal });
    for (const entityTypeId of part) {
      const [fields, last] = [outcomes[`fields${entityTypeId}`], outcomes[`last${entityTypeId}`]];
      if (!fields?.ok) described.set(entityTypeId, { error: fields?.error });
      else if (!last?.ok) described.set(entityTypeId, { error: last?.error });
      else described.set(entityTypeId, readDescription(fields.result, last.result, leftOut));
    }
  }
  return described;
}

function readDescription(
  fields: unknown,
  last: unknown,
  leftOut: LeftOut,
): DescribedType | { error: unknown } {
  try {
    return { fields: readFields(fields, leftOut), lastId: String(lastItems.parse(last).items[0]?.id ?? '0') };
  } catch (error) {
    return { error };
  }
}
