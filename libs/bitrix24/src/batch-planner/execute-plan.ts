import type { Command } from '../rest/batch.js';
import { Bitrix24Error } from '../rest/errors.js';
import { checkMethod, encodeQuery, holdsReference, type ParamValue } from '../rest/query.js';
import { isOwnError } from './failure.js';
import { type BatchClient, type Outcome, Plan, type PlannedCommand, type PlannedRequest } from './plan.js';

export interface PlanOptions {
  readonly signal?: AbortSignal | undefined;
  /** Maximum concurrent requests. Default 4. */
  readonly concurrency?: number | undefined;
}

/**
 * A batch of fifty updates takes seconds in the cloud: sequential batches would not use the two requests per second
 * that a portal allows.
 */
const DEFAULT_CONCURRENCY = 4;

/**
 * Executes commands in as few requests as possible and returns the outcome of each, in the order given. Never rejects:
 * after an abort the signal's reason is the outcome of the commands that were not sent.
 */
export async function executePlan<J extends PlannedCommand>(
  client: BatchClient,
  jobs: readonly J[],
  { signal, concurrency = DEFAULT_CONCURRENCY }: PlanOptions = {},
): Promise<[job: J, outcome: Outcome][]> {
  const plan = new Plan(jobs);
  const inFlight = new Set<Promise<void>>();
  for (;;) {
    while (inFlight.size < concurrency) {
      const request = plan.next();
      if (!request) break;
      const sent: Promise<void> = sendPlan(client, plan, request, signal).finally(() =>
        inFlight.delete(sent),
      );
      inFlight.add(sent);
    }
    if (inFlight.size === 0) break;
    await Promise.race(inFlight);
  }
  return jobs.map((job) => [job, plan.outcomeOf(job) ?? noOutcome(client, job)]);
}

async function sendPlan(
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
    if (isOwnError(error)) return { ok: false, error };
    throw error;
  }
}

async function callBatch(
  client: BatchClient,
  { jobs, again }: PlannedRequest,
  signal: AbortSignal | undefined,
): Promise<Outcome[]> {
  const commands = Object.fromEntries(jobs.map(({ command }, index) => [keyOf(index), command]));
  // The client retries transient errors. In the parts of a failed request it does not: it would only send the command
  // that causes the failure three times.
  const repeatable = !again && jobs.every((job) => job.repeatable);
  const outcomes = await client.batch(commands, { signal, repeatable });
  return jobs.map((job, index) => outcomes[keyOf(index)] ?? noOutcome(client, job));
}

/** Not a number: objects put integer keys first, and a portal runs commands in the order of their keys. */
function keyOf(index: number): string {
  return `c${index}`;
}

function noOutcome({ memberId }: BatchClient, { command: { method } }: PlannedCommand): Outcome {
  return { ok: false, error: new Bitrix24Error('BAD_ANSWER', { memberId, method }) };
}

/**
 * Whether a command can be sent in a batch. Otherwise it must be sent by `call`, whose JSON can carry what the query
 * strings of a batch cannot, such as empty lists, and in which a portal does not substitute `$result[…]`.
 */
export function canBatch({ method, params = {} }: Command): boolean {
  if ([...leavesOf(params)].some((value) => typeof value === 'string' && holdsReference(value))) return false;
  try {
    checkMethod(method);
    encodeQuery(params);
    return true;
  } catch {
    return false;
  }
}

/** @throws TypeError for a number that is not finite: JSON silently makes it null, which clears a field */
export function checkCallable({ params = {} }: Command): void {
  if ([...leavesOf(params)].some((value) => typeof value === 'number' && !Number.isFinite(value))) {
    throw new TypeError('a parameter is not a finite number');
  }
}

function* leavesOf(value: ParamValue): Generator<ParamValue> {
  if (typeof value !== 'object' || value === null) yield value;
  else for (const inner of Object.values(value)) yield* leavesOf(inner);
}
