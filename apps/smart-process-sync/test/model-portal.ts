import {
  type BatchClient,
  Bitrix24Error,
  type Command,
  type CommandOutcome,
  type Item,
} from '@relay/bitrix24';
import { z } from 'zod';

const listParams = z.object({
  entityTypeId: z.number(),
  filter: z.object({ '>id': z.string().optional(), '@id': z.array(z.string()).optional() }),
  select: z.array(z.string()).optional(),
});
const getParams = z.object({ entityTypeId: z.number(), id: z.string() });

/** How the model fails, at random or as a test sets it. */
export interface ModelFaults {
  /** The request as a whole. */
  request?: (commands: number) => Error | undefined;
  /** A command that would bring these items. */
  page?: (items: readonly Item[]) => Bitrix24Error | undefined;
  /** What a list returns instead of the items after this id. */
  instead?: (entityTypeId: number, behind: number) => unknown;
}

/**
 * A portal's item lists in memory, with a quirk of the real one: a reference to a page's missing fiftieth item is
 * empty, and a filter by an empty `>id` lists from the beginning.
 */
export class ModelPortal implements BatchClient {
  readonly memberId = 'model';
  readonly types = new Map<number, Map<number, Record<string, unknown>>>();
  /** By `<entityTypeId>:<id>`: existing, but hidden from this user. */
  readonly hidden = new Set<string>();
  requests = 0;
  faults: ModelFaults = {};

  put(entityTypeId: number, id: number, fields: Record<string, unknown> = {}): void {
    const items = this.types.get(entityTypeId) ?? new Map<number, Record<string, unknown>>();
    this.types.set(entityTypeId, items.set(id, fields));
  }

  async call(): Promise<never> {
    throw new TypeError('the model takes batches only');
  }

  async batch(commands: Readonly<Record<string, Command>>): Promise<Record<string, CommandOutcome>> {
    this.requests += 1;
    const failure = this.faults.request?.(Object.keys(commands).length);
    if (failure) throw failure;
    const outcomes: Record<string, CommandOutcome> = {};
    for (const [key, { method, params }] of Object.entries(commands)) {
      outcomes[key] = method === 'crm.item.get' ? this.get(params) : this.list(params, outcomes);
    }
    return outcomes;
  }

  private list(params: unknown, before: Record<string, CommandOutcome>): CommandOutcome {
    const { entityTypeId, filter, select } = listParams.parse(params);
    const items = this.types.get(entityTypeId);
    if (!items) return { ok: false, error: new Bitrix24Error('NOT_FOUND', { delivered: 'yes' }) };
    const behind = Number(resolved(filter['>id'] ?? '0', before));
    const shown = [...items]
      .filter(([id]) => id > behind && !this.hidden.has(`${entityTypeId}:${id}`))
      .filter(([id]) => filter['@id']?.includes(String(id)) ?? true)
      .toSorted(([a], [b]) => a - b)
      .slice(0, 50)
      .map(([id, fields]): Item => (select?.join() === 'id' ? { id } : { ...fields, id }));
    const error = this.faults.page?.(shown);
    return error
      ? { ok: false, error }
      : {
          ok: true,
          result: { items: this.faults.instead?.(entityTypeId, behind) ?? shown },
          time: { start: Date.now() / 1_000 },
        };
  }

  private get(params: unknown): CommandOutcome {
    const { entityTypeId, id } = getParams.parse(params);
    const fields = this.types.get(entityTypeId)?.get(Number(id));
    if (!fields) return { ok: false, error: new Bitrix24Error('NOT_FOUND', { delivered: 'yes' }) };
    if (this.hidden.has(`${entityTypeId}:${id}`)) {
      return { ok: false, error: new Bitrix24Error('ACCESS_DENIED', { delivered: 'yes' }) };
    }
    return { ok: true, result: { item: { ...fields, id: Number(id) } } };
  }
}

const listed = z.object({ items: z.array(z.looseObject({ id: z.number() })) });

function resolved(value: string, before: Record<string, CommandOutcome>): string {
  const [, key, index] = /^\$result\[(\w+)\]\[items\]\[(\d+)\]\[id\]$/.exec(value) ?? [];
  if (key === undefined) return value;
  const outcome = before[key];
  const page = listed.safeParse(outcome?.ok ? outcome.result : undefined);
  return String(page.data?.items[Number(index)]?.id ?? '');
}
