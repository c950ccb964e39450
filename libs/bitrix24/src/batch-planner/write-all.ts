import type { Command } from '../rest/batch.js';
import { idempotencyOf } from '../rest/retryability.js';
import { canBatch, executePlan, type PlanOptions } from './execute-plan.js';
import type { BatchClient, Outcome } from './plan.js';

export interface Write {
  /** Ordering key, such as `contact:82`: writes of one entity are executed in the order given, others in any order. */
  readonly entity: string;
  /** Strings are written literally: `$result[…]` is not substituted. */
  readonly command: Command;
  /**
   * Whether the write is idempotent. Default: by the method's name, true for `.update`, `.delete` and `.set`. Set false
   * for an update that adds, such as one of `PHONE` without the `ID` of the value.
   */
  readonly repeatable?: boolean;
}

/**
 * Writes fifty commands per request, several requests concurrently, and returns the outcome of each command, in the
 * order given.
 *
 * A failed command does not affect the others, not even later ones of the same entity. A request that is too long,
 * times out or has a damaged response is bisected and retried, without the commands that may have been executed and are
 * not idempotent: their outcome is the error, and their result is unknown. When the portal accepts no requests at all,
 * the remaining commands get its error without being sent.
 *
 * Never rejects; after an abort the signal's reason is the outcome of the commands that were not sent.
 */
export async function writeAll<W extends Write>(
  client: BatchClient,
  writes: readonly W[],
  options?: PlanOptions,
): Promise<[write: W, outcome: Outcome][]> {
  const jobs = writes.map((write) => {
    const { entity, command, repeatable = idempotencyOf(command.method) !== 'other' } = write;
    return { write, entity, command, repeatable, alone: !canBatch(command) };
  });
  const ended = await executePlan(client, jobs, options);
  return ended.map(([{ write }, outcome]) => [write, outcome]);
}
