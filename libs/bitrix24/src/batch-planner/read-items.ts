import { chunk, type Item, itemsOf, type Read, readsOf } from '../rest/listing.js';
import { canBatch, executePlan, type PlanOptions } from './execute-plan.js';
import { isTooLarge } from './failure.js';
import type { BatchClient, Outcome, PlannedCommand } from './plan.js';

/** Items of one CRM type. */
export interface ItemQuery {
  readonly entityTypeId: number;
  readonly ids: readonly (number | string)[];
  /** Field names; all fields if absent. */
  readonly select?: readonly string[] | undefined;
}

/**
 * `absent`: the portal has responded and does not have the item, or does not show it to this user
 * (`api-reference/crm/universal/crm-item-list.md`). `failed`: unknown.
 */
export type ItemOutcome =
  | { readonly state: 'found'; readonly item: Item }
  | { readonly state: 'absent' }
  | { readonly state: 'failed'; readonly error: unknown };

/**
 * Reads items by id, of any number of types: fifty ids per command and fifty commands per request, so 2,500 items per
 * request. Returns each query, in the order given, with the outcome of each id; an invalid id is absent. A failed
 * command is the outcome of its own ids only; a command whose response is too large is bisected, down to a single item.
 *
 * Never rejects; after an abort the signal's reason is the error of the ids that were not read.
 */
export async function readItems<Q extends ItemQuery>(
  client: BatchClient,
  queries: readonly Q[],
  options?: PlanOptions,
): Promise<[query: Q, outcomes: Map<string, ItemOutcome>][]> {
  const planned = queries.map((query) => ({ query, result: resultFor(query) }));
  let jobs = planned.flatMap(({ query, result }) => jobsOf(query, query.ids, result));
  while (jobs.length > 0) {
    const again: ReadJob[] = [];
    for (const [{ query, read, result }, outcome] of await executePlan(client, jobs, options)) {
      const isToBeHalved = !outcome.ok && isTooLarge(outcome.error) && read.ids.size > 1;
      if (isToBeHalved) again.push(...halvesOf(read).flatMap((ids) => jobsOf(query, ids, result)));
      else for (const [id, one] of itemOutcomes(read, outcome, client.memberId)) result.set(id, one);
    }
    jobs = again;
  }
  return planned.map(({ query, result }) => [query, result]);
}

interface ReadJob extends PlannedCommand {
  readonly query: ItemQuery;
  readonly read: Read;
  readonly result: Map<string, ItemOutcome>;
}

function jobsOf(query: ItemQuery, ids: ItemQuery['ids'], result: Map<string, ItemOutcome>): ReadJob[] {
  return readsOf(query.entityTypeId, ids, query.select).map((read) => {
    const { command } = read;
    return { query, read, result, command, repeatable: true, alone: !canBatch(command) };
  });
}

function halvesOf({ ids }: Read): string[][] {
  return chunk([...ids], Math.ceil(ids.size / 2));
}

function resultFor({ ids }: ItemQuery): Map<string, ItemOutcome> {
  return new Map(ids.map((id) => [String(id), { state: 'absent' }]));
}

function itemOutcomes(read: Read, outcome: Outcome, memberId: string): [id: string, ItemOutcome][] {
  const ids = [...read.ids];
  try {
    if (!outcome.ok) return ids.map((id) => [id, { state: 'failed', error: outcome.error }]);
    const items = new Map(itemsOf(read, outcome.result, memberId).map((item) => [String(item.id), item]));
    return ids.map((id) => {
      const item = items.get(id);
      return [id, item ? { state: 'found', item } : { state: 'absent' }];
    });
  } catch (error) {
    return ids.map((id) => [id, { state: 'failed', error }]);
  }
}
