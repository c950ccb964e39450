import { setImmediate } from 'node:timers/promises';
import type { BatchClient, RequestOptions } from '../src/batch-planner/plan.js';
import type { Command, CommandOutcome } from '../src/rest/batch.js';
import { Bitrix24Error } from '../src/rest/errors.js';
import type { RestResponse } from '../src/rest/response.js';

/** How one request goes. Ticks are turns of the event loop, by which requests that are under way at once overtake each other. */
export interface Behaviour {
  readonly ticksBefore?: number;
  readonly ticksAfter?: number;
  /** The request as a whole fails with this, after some of its commands were done. */
  readonly failure?: unknown;
  /** Of the commands of a request that fails; all of them if there are fewer. */
  readonly done?: number;
}

export interface SentRequest {
  readonly names: readonly string[];
  readonly alone: boolean;
  readonly options: RequestOptions;
  readonly failure: unknown;
  /** How many requests had been sent when this one ended; undefined while it is under way. */
  readonly sentMeanwhile: number | undefined;
}

interface RunningRequest extends SentRequest {
  sentMeanwhile: number | undefined;
}

/** A portal in memory behind the interface of its client: commands are named by their parameter `name`. */
export class ModelPortal implements BatchClient {
  readonly memberId = 'm1';
  private readonly requests: RunningRequest[] = [];
  /** Names of the commands that were done, in order. */
  readonly done: string[] = [];
  /** What the next requests do; those behind the last answer at once. */
  behaviours: Behaviour[] = [];
  /** Of a batch it does no more commands than this, and leaves out those behind them. */
  maxCommands = 50;
  /** A batch of more commands than this it refuses as a whole. */
  takes = 50;
  /** By the command's name, what it answers; else its name. */
  answer: (command: Command) => CommandOutcome = (command) => ({ ok: true, result: nameOf(command) });
  /** Fails a request that has this command in it, before any of it is done. */
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
    const refused = entries.length > this.takes ? tooLong() : undefined;
    const failure = behaviour.failure ?? refused ?? spoilt;
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
