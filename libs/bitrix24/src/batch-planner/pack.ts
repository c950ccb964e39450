import { MAX_BATCH_COMMANDS } from '../batch.js';
import type { PlannedCommand } from './planned-command.js';

/**
 * Packs commands into the fewest requests: up to 50 per batch, plus one request for each command that cannot be
 * batched. Commands of one entity keep their order across requests; requests that share an entity must be sent
 * sequentially.
 */
export function pack(jobs: readonly PlannedCommand[]): PlannedCommand[][] {
  const requests: PlannedCommand[][] = [];
  let open: PlannedCommand[] = [];
  /** Entities with an unbatched command after the open request. */
  let behind = new Set<string>();

  function begin(): void {
    open = [];
    behind = new Set();
  }

  for (const job of jobs) {
    const { alone, entity } = job;
    if (alone) {
      requests.push([job]);
      if (entity !== undefined) behind.add(entity);
      continue;
    }
    if (open.length === MAX_BATCH_COMMANDS || (entity !== undefined && behind.has(entity))) begin();
    if (open.length === 0) requests.push(open);
    open.push(job);
  }
  return requests;
}
