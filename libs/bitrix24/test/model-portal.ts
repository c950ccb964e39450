import { setImmediate } from 'node:timers/promises';
import type { BatchClient, RequestOptions } from '../src/batch-planner/plan.js';
import type { Command, CommandOutcome } from '../src/rest/batch.js';
import { Bitrix24Error } from '../src/rest/errors.js';
import type { RestResponse } from '../src/rest/response.js';

/** Behaviour of one request. Ticks are event loop iterations, so that concurrent requests can overtake each other. */
export interface Behaviour {
  readonly ticksBefore?: number;
  readonly ticksAfter?: number;
  /** The error of the request as a whole, after some of its commands were executed. */
  readonly failure?: unknown;
  /** Number of executed commands of a request that fails. */
  readonly done?: number;
}

export interface SentRequest {
  readonly names: readonly string[];
  readonly alone: boolean;
  readonly options: RequestOptions;
  readonly failure: unknown;
  /** Number of requests sent by the end of this one; undefined while it is in flight. */
  readonly sentMeanwhile: number | undefined;
}

interface RunningRequest extends SentRequest {
  sentMeanwhile: number | undefined;
}

/** In-memory portal with the interface of its client: the parameter `name` identifies a command. */
export class ModelPortal implements BatchClient {
  readonly memberId = 'm1';
  private readonly requests: RunningRequest[] = [];
  /** Names of the executed commands, in order. */
  readonly done: string[] = [];
  /** Behaviour of the next requests; later ones answer at once. */
  behaviours: Behaviour[] = [];
  /** Maximum executed commands of a batch; the rest is skipped. */
  maxCommands = 50;
  /** A batch with more commands is rejected as a whole. */
  takes = 50;
  /** The answer of a command; default: its name. */
  answer: (command: Command) => CommandOutcome = (command) => ({ ok: true, result: nameOf(command) });
  /** Fails a request with this command before any command is executed. */
  spoils: (command: Command) => unknown = () => undefined;
  inFlight = 0;
  maxInFlight = 0;

  get sent(): readonly SentRequest[] {
    return this.requests;
  }

  async call(method: string, params: Command['params'], options: RequestOptions = {}): Promise<RestResponse> {
    const command = params ? { method, params } : { method };
    const { c0: outcome } = await this.request({ c0: command }, true, options);
    if (outcome?.ok) return outcome;
    throw outcome?.error;
  }

  batch(
    commands: Readonly<Record<string, Command>>,
    options: RequestOptions = {},
  ): Promise<Record<string, CommandOutcome>> {
    return this.request(commands, false, options);
  }

  private async request(
    commands: Readonly<Record<string, Command>>,
    alone: boolean,
    options: RequestOptions,
  ): Promise<Record<string, CommandOutcome>> {
    const { ticksBefore = 0, ticksAfter = 0, ...behaviour } = this.behaviours.shift() ?? {};
    const entries = Object.entries(commands);
    const spoilt = entries.map(([, command]) => this.spoils(command)).find((error) => error !== undefined);
    const rejected = entries.length > this.takes ? tooLong() : undefined;
    const failure = behaviour.failure ?? rejected ?? spoilt;
    const names = entries.map(([, command]) => nameOf(command));
    const request: RunningRequest = { names, alone, options, failure, sentMeanwhile: undefined };
    this.requests.push(request);
    this.inFlight += 1;
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
    try {
      await ticks(ticksBefore);
      const reached = failure === undefined ? entries : entries.slice(0, behaviour.done ?? 0);
      const outcomes = reached.map(([key, command], index) => [key, this.run(command, index)] as const);
      await ticks(ticksAfter);
      if (failure !== undefined) throw failure;
      return Object.fromEntries(outcomes);
    } finally {
      this.inFlight -= 1;
      request.sentMeanwhile = this.requests.length;
    }
  }

  private run(command: Command, index: number): CommandOutcome {
    if (index >= this.maxCommands) {
      return { ok: false, error: tooLong() };
    }
    this.done.push(nameOf(command));
    return this.answer(command);
  }
}

export function nameOf({ params }: Command): string {
  const name = params?.['name'];
  return typeof name === 'string' ? name : '';
}

function tooLong(): Bitrix24Error {
  return new Bitrix24Error('ERROR_BATCH_LENGTH_EXCEEDED');
}

async function ticks(count: number): Promise<void> {
  for (let tick = 0; tick < count; tick++) await setImmediate();
}
