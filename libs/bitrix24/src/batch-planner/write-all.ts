import type { Command } from '../batch.js';
import { idempotencyOf } from '../retryability.js';
import { canBatch } from './batchability.js';
import { executePlan, type PlanOptions } from './execute-plan.js';
import type { BatchClient, Outcome } from './planned-command.js';

export interface Write {
  /** Names what is written, as in `contact:82`: the writes of one entity are done in the order given, others in any. */
  readonly entity: string;
  /** Texts in it are written as they are: a `$result[…]` in them refers to nothing. */
  readonly command: Command;
  /**
   * Whether to do it twice does no harm. Default: by the method's name, true for `.update`, `.delete` and `.set`. False is
   * right for an update that adds, such as one of `PHONE` without the `ID` of the value.
   */
  readonly repeatable?: boolean;
}

/**
 * Writes fifty commands a request, several requests at once, and says of each command what it came to, in the order given.
 *
 * A command that fails leaves the others alone, also those behind it that write the same entity. A request that is too
 * long, takes too long or comes back broken is sent again in halves, without what may have been done and must not be done
 * twice: the outcome of that is the error, which says that nobody knows. When the portal takes no requests at all,
 * the rest gets its error without having been sent.
 *
 * Never rejects; after an abort the signal's reason is the outcome of what was not done.
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
