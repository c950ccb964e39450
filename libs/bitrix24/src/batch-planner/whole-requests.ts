import { MAX_BATCH_COMMANDS } from '../rest/batch.js';
import { canBatch } from './execute-plan.js';
import type { Write } from './write-all.js';

/**
 * The writes that fill requests of fifty, and the at most 49 that are left, which `writeAll` would send in a request that is
 * not full: they may be postponed until more has come. Left are the last ones, and of an entity all or none. Where all
 * together fill no request, nothing is left unless half a request more is there. So what was left before and now comes
 * first is never left again.
 * @param hasMore of the batch: whether so many more entries wait
 */
export function wholeRequests<W extends Write>(
  writes: readonly W[],
  hasMore: (atLeast: number) => boolean,
): { whole: W[]; left: W[] } {
  const isBatched = new Map(writes.map((write) => [write, canBatch(write.command)]));
  const batched = writes.filter((write) => isBatched.get(write));
  if (!hasMore(batched.length < MAX_BATCH_COMMANDS ? MAX_BATCH_COMMANDS / 2 : 1))
    return { whole: [...writes], left: [] };
  let room = batched.length % MAX_BATCH_COMMANDS;
  const hasOwnRequest = new Set(writes.filter((write) => !isBatched.get(write)).map(({ entity }) => entity));
  const leftEntities = new Set<string>();
  for (const [entity, count] of countByEntity(batched).toReversed()) {
    if (count > room || hasOwnRequest.has(entity)) break;
    room -= count;
    leftEntities.add(entity);
  }
  const isLeft = ({ entity }: Write): boolean => leftEntities.has(entity);
  return { whole: writes.filter((write) => !isLeft(write)), left: writes.filter(isLeft) };
}

/** In order of their first writes. */
function countByEntity(writes: readonly Write[]): [entity: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { entity } of writes) counts.set(entity, (counts.get(entity) ?? 0) + 1);
  return [...counts];
}
