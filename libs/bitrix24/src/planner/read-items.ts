import { type Item, itemsOf, type Read, readsOf } from '../listing.js';
import { fitsBatch } from './carriage.js';
import { carryOut, type PlanOptions } from './carry-out.js';
import type { BatchClient, Job, Outcome } from './job.js';

/** Items of one CRM type. */
export interface ItemQuery {
  readonly entityTypeId: number;
  readonly ids: readonly (number | string)[];
  /** Field names; all fields if absent. */
  readonly select?: readonly string[] | undefined;
}

/**
 * `absent`: the portal has answered and does not have the item, or does not show it to this user
 * (`api-reference/crm/universal/crm-item-list.md`). `failed`: nobody knows.
 */
export type ItemOutcome =
  | { readonly state: 'found'; readonly item: Item }
  | { readonly state: 'absent' }
  | { readonly state: 'failed'; readonly error: unknown };

/**
 * Reads items by id, of any number of types: fifty ids a command and fifty commands a request, so 2,500 items by one
 * request. Each query comes back, in the order given, with the outcome of each of its ids; what is no id at all is absent. A
 * command that fails is the outcome of the ids that it asked for, and leaves the others alone.
 *
 * Never rejects; after an abort the signal's reason is the error of what was not read.
 */
export async function readItems<Q extends ItemQuery>(
  client: BatchClient,
  queries: readonly Q[],
  options?: PlanOptions,
): Promise<[query: Q, outcomes: Map<string, ItemOutcome>][]> {
  const planned = queries.map((query) => ({ query, result: resultFor(query) }));
  const jobs = planned.flatMap(({ query: { entityTypeId, ids, select }, result }) =>
    readsOf(entityTypeId, ids, select).map((read): ReadJob => {
      return { read, result, command: read.command, repeatable: true, alone: !fitsBatch(read.command) };
    }),
  );
  for (const [{ read, result }, outcome] of await carryOut(client, jobs, options)) {
    for (const [id, itemOutcome] of itemOutcomes(read, outcome, client.memberId)) result.set(id, itemOutcome);
  }
  return planned.map(({ query, result }) => [query, result]);
}

interface ReadJob extends Job {
  readonly read: Read;
  readonly result: Map<string, ItemOutcome>;
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
