import { MAX_BATCH_COMMANDS } from '../batch.js';
import type { PlannedCommand } from './planned-command.js';

/**
 * The fewest requests that these jobs can go by: 50 a request, beside each of those that go alone. The jobs of one entity
 * are never in an earlier request than the ones before them; requests that share an entity must be sent one by one.
 */
export function pack(jobs: readonly PlannedCommand[]): PlannedCommand[][] {
  const requests: PlannedCommand[][] = [];
  let open: PlannedCommand[] = [];
  /** Entities with a lone job behind the open request. */
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
