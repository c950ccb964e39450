import { Bitrix24Error, type Command, type PortalClient } from '@relay/bitrix24';
import { z } from 'zod';
import type { Field } from './field.js';
import { readFields } from './field.js';

/** A smart process as the portal lists it (`api-reference/crm/data-types.md#type`). */
export interface ListedType {
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
  .union([z.string(), z.number().transform(String)])
  .nullish()
  .transform((value) => (value ?? '').replaceAll('\0', ''));
const listed = z.object({
  types: z.array(
    z
      .object({ entityTypeId: z.coerce.number().int().positive(), title: text, code: text })
      .transform(({ entityTypeId, title, code }) => ({ entityTypeId, title, code: code || null })),
  ),
});
const PAGE_SIZE = 50;
/** Far more than any portal has: a list that does not end is none. */
const MOST_TYPES = 5_000;

/**
 * Every smart process of the portal (`api-reference/crm/universal/user-defined-object-types/crm-type-list.md`).
 * @throws Bitrix24Error ACCESS_DENIED for a user without administrative rights in the CRM
 */
export async function listTypes(client: PortalClient, signal?: AbortSignal): Promise<ListedType[]> {
  const types = new Map<number, ListedType>();
  for (let start = 0; start < MOST_TYPES; start += PAGE_SIZE) {
    const { result } = await client.call('crm.type.list', { order: { id: 'ASC' }, start }, { signal });
    const page = listed.safeParse(result);
    if (!page.success) {
      throw new Bitrix24Error('BAD_ANSWER', {
        method: 'crm.type.list',
        detail: 'wrong-shape',
        delivered: 'yes',
      });
    }
    for (const type of page.data.types) types.set(type.entityTypeId, type);
    if (page.data.types.length < PAGE_SIZE) break;
  }
  return [...types.values()];
}

const lastItems = z.object({
  items: z.array(z.looseObject({ id: z.union([z.number(), z.string()]).transform(String) })),
});
/** Two commands each. */
const TYPES_A_REQUEST = 25;

/**
 * The fields of each type and how far its ids go, 25 types a request. For a type that could not be asked, the error: it
 * may be gone (`NOT_FOUND`) or not for this user (`ACCESS_DENIED`).
 */
export async function describeTypes(
  client: PortalClient,
  ids: readonly number[],
  signal?: AbortSignal,
): Promise<Map<number, DescribedType | { error: unknown }>> {
  const described = new Map<number, DescribedType | { error: unknown }>();
  for (let from = 0; from < ids.length; from += TYPES_A_REQUEST) {
    const part = ids.slice(from, from + TYPES_A_REQUEST);
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
      else described.set(entityTypeId, read(fields.result, last.result));
    }
  }
  return described;
}

function read(fields: unknown, last: unknown): DescribedType | { error: unknown } {
  try {
    return { fields: readFields(fields), lastId: lastItems.parse(last).items[0]?.id ?? '0' };
  } catch (error) {
    return { error };
  }
}
