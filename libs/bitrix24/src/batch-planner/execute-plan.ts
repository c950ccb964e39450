import { Bitrix24Error } from '../errors.js';
import { checkCallable } from './batchability.js';
import { isOwnAnswer } from './failure.js';
import type { BatchClient, PlannedCommand, Outcome } from './planned-command.js';
import { Plan, type PlannedRequest } from './plan.js';

export interface PlanOptions {
  readonly signal?: AbortSignal | undefined;
  /** Most requests under way at once. Default 4. */
  readonly requestsAtOnce?: number | undefined;
}

/**
 * Fifty updates take seconds in the cloud: sent one batch at a time, they would not use the two requests a second that a
 * portal takes.
 */
const REQUESTS_AT_ONCE = 4;

/**
 * Does these jobs by as few requests as they fit into, and says of each what it came to, in the order given. Never
 * rejects: after an abort the signal's reason is the outcome of what was not done.
 */
export async function executePlan<J extends PlannedCommand>(
  client: BatchClient,
  jobs: readonly J[],
  { signal, requestsAtOnce = REQUESTS_AT_ONCE }: PlanOptions = {},
): Promise<[job: J, outcome: Outcome][]> {
  const plan = new Plan(jobs);
  const inFlight = new Set<Promise<void>>();
  for (;;) {
    while (inFlight.size < requestsAtOnce) {
      const request = plan.next();
      if (!request) break;
      const sent: Promise<void> = carry(client, plan, request, signal).finally(() => inFlight.delete(sent));
      inFlight.add(sent);
    }
    if (inFlight.size === 0) break;
    await Promise.race(inFlight);
  }
  return jobs.map((job) => [job, plan.outcomeOf(job) ?? noOutcome(client, job)]);
}

async function carry(
  client: BatchClient,
  plan: Plan,
  request: PlannedRequest,
  signal: AbortSignal | undefined,
): Promise<void> {
  let outcomes: Outcome[];
  try {
    signal?.throwIfAborted();
    const [lone] = request.jobs;
    outcomes = lone?.alone
      ? [await callAlone(client, lone, signal)]
      : await callBatch(client, request, signal);
  } catch (error) {
    plan.failed(request, error);
    return;
  }
  plan.answered(request, outcomes);
}

async function callAlone(
  client: BatchClient,
  { command, repeatable }: PlannedCommand,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  try {
    checkCallable(command);
    return { ok: true, ...(await client.call(command.method, command.params, { signal, repeatable })) };
  } catch (error) {
    if (isOwnAnswer(error)) return { ok: false, error };
    throw error;
  }
}

async function callBatch(
  client: BatchClient,
  { jobs, again }: PlannedRequest,
  signal: AbortSignal | undefined,
): Promise<Outcome[]> {
  const commands = Object.fromEntries(jobs.map(({ command }, index) => [keyOf(index), command]));
  // The client repeats what may have met a passing trouble; in the parts of what has failed for good it would only
  // send the command that is the cause three times.
  const repeatable = !again && jobs.every((job) => job.repeatable);
  const outcomes = await client.batch(commands, { signal, repeatable });
  return jobs.map((job, index) => outcomes[keyOf(index)] ?? noOutcome(client, job));
}

/** No number: an object puts those first, and the commands are run in the order of their keys. */
function keyOf(index: number): string {
  return `c${index}`;
}

function noOutcome({ memberId }: BatchClient, { command: { method } }: PlannedCommand): Outcome {
  return { ok: false, error: new Bitrix24Error('BAD_ANSWER', { memberId, method }) };
}
