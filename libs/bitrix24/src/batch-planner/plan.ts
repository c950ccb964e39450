import { MAX_BATCH_COMMANDS } from '../batch.js';
import { chunk } from '../chunk.js';
import { type Failure, failureOf, isTooLong } from './failure.js';
import type { PlannedCommand, Outcome } from './planned-command.js';
import { pack } from './pack.js';

/** Enough to find five commands that spoil their requests: each takes six halvings of fifty. */
const MAX_SPLITS = 32;
/**
 * A portal that has answered none of so many requests will not answer the next one. Four bad commands spread over fifty
 * make up to eleven: the fifty, its halves, its quarters, and one of two in each of those.
 */
const MAX_FAILURES_IN_A_ROW = 12;

/** A request of a plan: the jobs that go by it, in their order. */
export interface PlannedRequest {
  readonly jobs: readonly PlannedCommand[];
  /** Is part of one that failed, and more of the same is not what it needs. */
  readonly again: boolean;
}

/**
 * Which jobs go by which request and when, and what each of them came to. It knows no network: whoever carries it out
 * asks for the `next` request, as many at once as may be under way, and says how each of them ended.
 */
export class Plan {
  /** Those to be sent and those under way, so that of two with one entity the first is to be done first. */
  private requests: PlannedRequest[];
  private readonly inFlight = new Set<PlannedRequest>();
  private readonly outcomes = new Map<PlannedCommand, Outcome>();
  /** Most commands that a request may have, as far as this plan has learned. */
  private largest = MAX_BATCH_COMMANDS;
  /** Most commands that a request has been answered with. */
  private proven = 0;
  private splitsLeft = MAX_SPLITS;
  private failuresInARow = 0;

  constructor(jobs: readonly PlannedCommand[]) {
    this.requests = pack(jobs).map((packed) => ({ jobs: packed, again: false }));
  }

  /** Undefined until the job's request has ended. */
  outcomeOf(job: PlannedCommand): Outcome | undefined {
    return this.outcomes.get(job);
  }

  /** A request to be sent now; undefined when there is none left, or all have to wait for one under way. */
  next(): PlannedRequest | undefined {
    const busy = new Set<string>();
    for (const request of this.requests) {
      const entities = request.jobs.flatMap(({ entity }) => entity ?? []);
      if (!this.inFlight.has(request) && !entities.some((entity) => busy.has(entity))) {
        return this.send(request);
      }
      for (const entity of entities) busy.add(entity);
    }
    return undefined;
  }

  /** @param outcomes one for each job of the request, in their order */
  answered(request: PlannedRequest, outcomes: readonly Outcome[]): void {
    // A portal that takes fewer commands than were sent does the first and leaves out those behind them.
    const done = outcomes.findLastIndex((outcome) => outcome.ok || !isTooLong(outcome.error)) + 1;
    const [first] = outcomes;
    if (done === 0 && first?.ok === false) return this.failed(request, first.error);

    this.failuresInARow = 0;
    this.proven = Math.max(this.proven, done);
    const sendAgain = done < outcomes.length && this.splitsLeft > 0;
    for (const [index, job] of request.jobs.slice(0, sendAgain ? done : undefined).entries()) {
      const outcome = outcomes[index];
      if (outcome) this.outcomes.set(job, outcome);
    }
    if (sendAgain) this.largest = Math.min(this.largest, done);
    this.end(request, sendAgain ? [request.jobs.slice(done)] : []);
  }

  /** The request as a whole came to nothing, or nobody knows to what. */
  failed(request: PlannedRequest, error: unknown): void {
    const failure = failureOf(error);
    const again = this.splitsLeft > 0 && request.jobs.length > 1 ? sendableAgain(request.jobs, failure) : [];
    const kept = new Set(again);
    for (const job of request.jobs) if (!kept.has(job)) this.outcomes.set(job, { ok: false, error });
    if (again.length > 0) this.learnFrom(failure, request.jobs.length);
    this.end(request, halves(again));

    // A refusal for its size is the answer of a portal that works.
    if (failure.kind !== 'split' || failure.maybeDone) this.failuresInARow += 1;
    if (failure.kind === 'portal' || this.failuresInARow >= MAX_FAILURES_IN_A_ROW) this.stop(error);
  }

  private send(request: PlannedRequest): PlannedRequest {
    const [jobs = [], ...rest] = chunk(request.jobs, this.largest);
    const sent = { ...request, jobs };
    this.inFlight.add(sent);
    this.replace(request, [sent, ...rest.map((piece) => ({ ...request, jobs: piece }))]);
    return sent;
  }

  private end(request: PlannedRequest, again: readonly (readonly PlannedCommand[])[]): void {
    if (again.length > 0) this.splitsLeft -= 1;
    this.inFlight.delete(request);
    this.replace(
      request,
      again.map((jobs) => ({ jobs, again: true })),
    );
  }

  /** In its place, which keeps the order of its entities. */
  private replace(request: PlannedRequest, others: readonly PlannedRequest[]): void {
    this.requests.splice(this.requests.indexOf(request), 1, ...others);
  }

  /** Where requests as large as this one have been answered, the cause is in this one, and the others may stay as they are. */
  private learnFrom(failure: Failure, commands: number): void {
    if (failure.kind !== 'split' || !failure.tooMany) return;
    this.largest = Math.min(this.largest, Math.max(this.proven, Math.ceil(commands / 2)));
  }

  /** What is not under way gets this error without being sent. */
  private stop(error: unknown): void {
    for (const { jobs } of this.requests.filter((request) => !this.inFlight.has(request))) {
      for (const job of jobs) this.outcomes.set(job, { ok: false, error });
    }
    this.requests = this.requests.filter((request) => this.inFlight.has(request));
    this.splitsLeft = 0;
  }
}

function halves(jobs: readonly PlannedCommand[]): PlannedCommand[][] {
  return jobs.length === 0 ? [] : chunk(jobs, Math.ceil(jobs.length / 2));
}

/**
 * The jobs of a failed request that may be sent again. One that may have been done and is not repeatable may not; nor may
 * the others of its entity, which would then be done after it or twice in another order.
 */
function sendableAgain(jobs: readonly PlannedCommand[], failure: Failure): PlannedCommand[] {
  if (failure.kind !== 'split') return [];
  if (!failure.maybeDone) return [...jobs];
  const doubtful = new Set(jobs.flatMap(({ repeatable, entity }) => (repeatable ? [] : (entity ?? []))));
  return jobs.filter(
    ({ repeatable, entity }) => repeatable && (entity === undefined || !doubtful.has(entity)),
  );
}
