import { Bitrix24Error, type Command, listOf, type PortalClient } from '@relay/bitrix24';
import { z } from 'zod';
import { isItemId } from '../item-id.js';
import { type Field, readFields } from './field.js';
import type { LeftOut } from './left-out.js';
import { readText } from './portal-text.js';

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
  .union([z.string(), z.number()])
  .nullish()
  .catch(null)
  .transform((told) => readText(told ?? ''));
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
const PAGE_SIZE = 50;
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
    for (const told of page.data.types) {
      const read = types.size < MAX_TYPES ? listedType.safeParse(told) : undefined;
      if (read?.success) types.set(read.data.entityTypeId, read.data);
      else leftOut.add('types', exampleOf(told));
    }
    if (page.data.types.length < PAGE_SIZE) break;
  }
  return [...types.values()];
}

const titled = z.object({ title: text });

function exampleOf(told: unknown): string {
  const read = titled.safeParse(told);
  return read.success ? read.data.title : '';
}

const lastItems = z.object({ items: listOf(z.object({ id: z.custom<number | string>(isItemId) })) });
/** Two commands each. */
const TYPES_A_REQUEST = 25;

/**
 * The fields and the largest item id of each type, 25 types per request. For a type that could not be read, the error: it
 * may be deleted (`NOT_FOUND`) or hidden from this user (`ACCESS_DENIED`).
 */
export async function describeTypes(
  client: PortalClient,
  ids: readonly number[],
  leftOut: LeftOut,
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
