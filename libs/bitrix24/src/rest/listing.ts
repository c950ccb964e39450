import { z, type ZodType } from 'zod';
import type { Command } from './batch.js';
import type { Params } from './query.js';
import { invalidResponse, type RequestContext, type RestResponse } from './response.js';

/** One entry of a list, fields as Bitrix24 names them. `id` is always set, also for methods that spell it `ID`. */
export type Item = Record<string, unknown> & { id: number | string };

/** The page size is fixed (`settings/how-to-call-rest-api/list-methods-pecularities.md`). */
export const PAGE_SIZE = 50;

const records = listOf(z.looseObject({}));
/** `crm.item.list` returns `{items: […]}`, older methods the list itself. */
const listResult = z.union([records, z.object({ items: records }).transform(({ items }) => items)]);
const idValue = z.union([z.int().positive(), z.string().regex(/^[1-9]\d*$/)]);

function readEntries(result: unknown, idField: 'id' | 'ID', asked: RequestContext): Item[] {
  const parsed = listResult.safeParse(result);
  if (!parsed.success) throw invalidResponse(asked);
  return parsed.data.map((item) => {
    const id = idValue.safeParse(item[idField]);
    if (!id.success) throw invalidResponse(asked);
    return Object.assign(item, { id: id.data });
  });
}

export interface ListParams extends Params {
  readonly filter?: Params;
  readonly select?: readonly string[];
  /** Reserved for keyset pagination, as is `start`. */
  readonly order?: never;
  readonly start?: never;
}

/**
 * Keyset pagination by id, without the total count (`settings/performance/huge-data.md`: 49.9 s against 0.1 s for 2.4
 * million rows). A bound `>id` in the caller's filter is the start.
 *
 * @throws Bitrix24Error `BAD_ANSWER` also when a page does not advance, which would be an endless loop
 */
export async function* readList(
  call: (params: Params) => Promise<RestResponse>,
  params: ListParams,
  idField: 'id' | 'ID',
  asked: RequestContext,
): AsyncGenerator<Item, void, undefined> {
  const bound = `>${idField}`;
  let after = Number(params.filter?.[bound] ?? 0);
  for (;;) {
    const { result } = await call({
      ...params,
      ...(params.select !== undefined && { select: withId(params.select, idField) }),
      filter: { ...params.filter, [bound]: after },
      order: { [idField]: 'ASC' },
      start: -1,
    });
    const page = readEntries(result, idField, asked);
    for (const { id } of page) {
      if (Number(id) <= after) throw invalidResponse(asked);
      after = Number(id);
    }
    yield* page;
    if (page.length < PAGE_SIZE) return;
  }
}

/** A command and the ids that it requests. */
export interface Read {
  readonly ids: ReadonlySet<string>;
  readonly command: Command;
}

/** The commands that read these items of one type: 50 ids per command. Invalid ids are left out. */
export function readsOf(
  entityTypeId: number,
  ids: readonly (number | string)[],
  select: readonly string[] = [],
): Read[] {
  // The portal would read an invalid id as 0.
  const wanted = [...new Set(ids.map(String))].filter((id) => idValue.safeParse(id).success);
  return chunk(wanted, PAGE_SIZE).map((page): Read => {
    const params = { entityTypeId, filter: { '@id': page }, order: { id: 'ASC' }, start: -1 };
    return {
      ids: new Set(page),
      command: {
        method: 'crm.item.list',
        params: select.length === 0 ? params : { ...params, select: withId(select, 'id') },
      },
    };
  });
}

/**
 * The items in the result of a read. An item that was not requested means that the portal ignored the filter; then a
 * missing item is not proof of deletion, and treating it as deleted would lose data.
 *
 * @throws Bitrix24Error `BAD_ANSWER`
 */
export function itemsOf({ ids, command: { method } }: Read, result: unknown, memberId: string): Item[] {
  const asked: RequestContext = { memberId, method, secrets: [] };
  const items = readEntries(result, 'id', asked);
  if (!items.every(({ id }) => ids.has(String(id)))) throw invalidResponse(asked);
  return items;
}

function withId(select: readonly string[], idField: string): readonly string[] {
  return select.includes(idField) || select.includes('*') ? select : [idField, ...select];
}

/**
 * An array schema that fails at the first invalid entry. `z.array` creates an issue of some 500 bytes for each entry
 * and one message of all: a portal that sends a million numbers instead of strings would exhaust the memory.
 */
export function listOf<T>(entry: ZodType<T>): ZodType<T[]> {
  return z.array(z.unknown()).transform((entries, context) => {
    const read: T[] = [];
    for (const [index, value] of entries.entries()) {
      const parsed = entry.safeParse(value);
      if (!parsed.success) {
        context.addIssue({ code: 'custom', path: [index], message: 'Invalid entry' });
        return z.NEVER;
      }
      read.push(parsed.data);
    }
    return read;
  });
}

/** Splits an array into chunks of `size`; the last one may be smaller. */
export function chunk<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, index) =>
    values.slice(index * size, (index + 1) * size),
  );
}
