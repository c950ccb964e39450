import { type Command, type CommandOutcome, MAX_BATCH_COMMANDS } from '../rest/batch.js';
import { chunk } from '../rest/listing.js';
import type { Params } from '../rest/query.js';
import type { RestResponse } from '../rest/response.js';
import { type Failure, failureOf, isTooLong } from './failure.js';

/** Enough to isolate five commands that fail their requests: each takes six bisections of fifty. */
const MAX_SPLITS = 32;
/**
 * After this many consecutive failures the portal counts as down. Four bad commands spread over fifty cause up to
 * eleven: the fifty, its halves, its quarters, and one of two in each quarter.
 */
const MAX_FAILURES_IN_A_ROW = 12;

/** A request of a plan: its commands, in order. */
export interface PlannedRequest {
  readonly jobs: readonly PlannedCommand[];
  /** A part of a request that failed; the client must not retry it. */
  readonly again: boolean;
}

/**
 * State machine that assigns commands to requests, orders the requests and collects the outcomes. It does no I/O: the
 * executor takes the `next` request, up to its concurrency, and reports how each one ended.
 */
export class Plan {
  /** Pending and in-flight requests. Of two requests with a common entity the earlier one is sent first. */
  private requests: PlannedRequest[];
  private readonly inFlight = new Set<PlannedRequest>();
  private readonly outcomes = new Map<PlannedCommand, Outcome>();
  /** Maximum commands per request that this plan has found so far. */
  private largest = MAX_BATCH_COMMANDS;
  /** The largest number of commands for which a request has succeeded. */
  private proven = 0;
  private splitsLeft = MAX_SPLITS;
  private failuresInARow = 0;

  constructor(jobs: readonly PlannedCommand[]) {
    this.requests = pack(jobs).map((packed) => ({ jobs: packed, again: false }));
  }

  /** Undefined until the command's request has ended. */
  outcomeOf(job: PlannedCommand): Outcome | undefined {
    return this.outcomes.get(job);
  }

  /** The request to send now; undefined when none is left, or all must wait for one in flight. */
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

  /** @param outcomes one for each command of the request, in order */
  answered(request: PlannedRequest, outcomes: readonly Outcome[]): void {
    // A portal that accepts fewer commands than were sent executes the first ones and skips the rest.
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

  /** The request as a whole failed, or its result is unknown. */
  failed(request: PlannedRequest, error: unknown): void {
    const failure = failureOf(error);
    const again = this.splitsLeft > 0 && request.jobs.length > 1 ? sendableAgain(request.jobs, failure) : [];
    const kept = new Set(again);
    for (const job of request.jobs) if (!kept.has(job)) this.outcomes.set(job, { ok: false, error });
    if (again.length > 0) this.learnFrom(failure, request.jobs.length);
    this.end(request, halves(again));

    // A portal that rejects a request for its size is up.
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

  /** Replaces in place, which keeps the order per entity. */
  private replace(request: PlannedRequest, others: readonly PlannedRequest[]): void {
    this.requests.splice(this.requests.indexOf(request), 1, ...others);
  }

  /** If requests of this size have succeeded, the cause is in this request, and the size of the others stays. */
  private learnFrom(failure: Failure, commands: number): void {
    if (failure.kind !== 'split' || !failure.tooMany) return;
    this.largest = Math.min(this.largest, Math.max(this.proven, Math.ceil(commands / 2)));
  }

  /** Fails all requests that are not in flight with this error, without sending them. */
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
 * The commands of a failed request that may be retried. Excluded are commands that may have been executed and are not
 * idempotent, and the other commands of their entities, whose order would no longer hold.
 */
function sendableAgain(jobs: readonly PlannedCommand[], failure: Failure): PlannedCommand[] {
  if (failure.kind !== 'split') return [];
  if (!failure.maybeDone) return [...jobs];
  const doubtful = new Set(jobs.flatMap(({ repeatable, entity }) => (repeatable ? [] : (entity ?? []))));
  return jobs.filter(
    ({ repeatable, entity }) => repeatable && (entity === undefined || !doubtful.has(entity)),
  );
}

/** A command with the properties that a plan needs. */
export interface PlannedCommand {
  readonly command: Command;
  /** Commands of one entity are executed in the order given; commands without an entity in any order. */
  readonly entity?: string | undefined;
  /** Idempotent: it may be retried when it is unknown whether it was executed. */
  readonly repeatable: boolean;
  /** It cannot be batched and is sent by `call`. */
  readonly alone: boolean;
}

/** Outcome of a command. The error is the portal's, or the one that prevented the request or its response. */
export type Outcome =
  ({ readonly ok: true } & Readonly<RestResponse>) | { readonly ok: false; readonly error: unknown };

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the client may retry after a failure that leaves unknown whether the request was executed. */
  readonly repeatable?: boolean | undefined;
}

/** The part of a `PortalClient` that executes plans. */
export interface BatchClient {
  readonly memberId: string;
  call(method: string, params?: Params, options?: RequestOptions): Promise<RestResponse>;
  batch(
    commands: Readonly<Record<string, Command>>,
    options?: RequestOptions,
  ): Promise<Record<string, CommandOutcome>>;
}

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
