import { performance } from 'node:perf_hooks';
import { momentOf } from '../field-set.js';
import type { WireFault } from '../faults.js';
import type { ApplicationKeys } from '../installation.js';
import { textOf, type Value, type Values } from '../php.js';
import type { Portal } from '../portal.js';
import type { Tokens } from '../tokens.js';
import { applicationMethods } from './application-methods.js';
import { commandsOf, runBatch, type Command } from './batch.js';
import { contactMethods } from './contact-methods.js';
import { eventMethods } from './event-methods.js';
import { itemMethods } from './item-methods.js';
import { argument, type Caller, type Method, type Outcome } from './method.js';
import { RestError } from './rest-error.js';
import { typeMethods } from './type-methods.js';

const methods = new Map<string, Method>(
  Object.entries({
    ...itemMethods,
    ...contactMethods,
    ...typeMethods,
    ...eventMethods,
    ...applicationMethods,
  }),
);
const batch = 'batch';

export interface RestRequest {
  method: string;
  params: Values;
  /** Of an incoming webhook's address: `rest/<user>/<secret>/`. */
  webhook?: { userId: string; secret: string };
  callerAddress: string;
}

export interface RestAnswer {
  body: Values;
  /** What shall happen to the answer on its way. */
  fault?: WireFault;
}

/** REST of all portals: bucket, authorization, faults, operating time, the method, `time`. */
export class RestService {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: ApplicationKeys,
    private readonly now: () => number,
  ) {}

  /** @throws RestError */
  answer(portal: Portal, request: RestRequest): RestAnswer {
    const startedMs = preciseNowMs();
    portal.stats.requests += 1;
    if (!portal.buckets.take(request.callerAddress, this.now())) {
      portal.stats.refusals += 1;
      throw new RestError('QUERY_LIMIT_EXCEEDED', 'Too many requests', 503);
    }
    const caller = this.authorize(portal, request);
    const name = methodName(request.method);
    if (name !== batch && !methods.has(name)) throw unknownMethod();
    portal.stats.called(name);
    const commands = name === batch ? commandsOf(request.params) : [];
    const fault = portal.faults.take(name, request.params) ?? wireFaultOf(portal, commands);
    if (fault instanceof RestError) throw fault;
    if (fault !== undefined && fault !== 'lost') return { body: {}, fault };
    const outcome =
      name === batch
        ? {
            result: runBatch(request.params, commands, (method, params) =>
              this.command(portal, caller, method, params),
            ),
          }
        : this.run(portal, caller, name, request.params);
    const body = shown({ ...outcome, time: 'time' in outcome ? outcome.time : timeOf(startedMs) });
    return fault === undefined ? { body } : { body, fault };
  }

  /** One command of a batch; counted as a call of its method, billed to it, but no request of its own. */
  private command(portal: Portal, caller: Caller, method: string, params: Values) {
    const name = methodName(method);
    if (name === batch) {
      throw new RestError('ERROR_BATCH_METHOD_NOT_ALLOWED', 'Method is not allowed for batch usage', 405);
    }
    if (!methods.has(name)) throw unknownMethod();
    portal.stats.called(name);
    const refusal = portal.faults.takeRefusal(name, params);
    if (refusal) throw refusal;
    return this.run(portal, caller, name, params);
  }

  private run(portal: Portal, caller: Caller, name: string, params: Values): Outcome & { time: Values } {
    const method = methods.get(name);
    if (!method) throw unknownMethod();
    const { operatingLimitSeconds, operatingCosts } = portal.settings;
    const nowMs = this.now();
    const meter = portal.meterOf(caller.kind === 'webhook' ? caller.secret : caller.access.installation);
    if (operatingLimitSeconds !== null && meter.read(name, nowMs).operating > operatingLimitSeconds) {
      throw new RestError('OPERATION_TIME_LIMIT', 'Method is blocked due to operation time limit', 429);
    }
    const startedMs = preciseNowMs();
    const outcome = method({ portal, caller, params, clientId: this.keys.clientId, nowMs });
    const seconds = operatingCosts[name] ?? (preciseNowMs() - startedMs) / 1000;
    const { operating, operatingResetAt } = meter.add(name, seconds, nowMs);
    const time = {
      ...timeOf(startedMs),
      ...(operatingResetAt !== undefined && { operating_reset_at: operatingResetAt }),
      operating,
    };
    return { ...outcome, time };
  }

  private authorize(portal: Portal, { params, webhook }: RestRequest): Caller {
    if (webhook) {
      const userId = portal.webhooks.get(webhook.secret);
      if (userId === undefined || String(userId) !== webhook.userId) throw noAuthFound();
      return { kind: 'webhook', secret: webhook.secret, userId };
    }
    const token = textOf(argument(params, 'auth')) ?? '';
    if (token === '') throw noAuthFound();
    const access = this.tokens.find(token);
    if (!access || access.installation !== portal.installation) {
      throw new RestError('invalid_token', 'Unable to get application by token', 401);
    }
    if (this.now() >= access.expiresAtMs) {
      throw new RestError('expired_token', 'The access token provided has expired.', 401);
    }
    return { kind: 'application', access };
  }
}

/** A fault ordered for a method strikes the answer of a batch that calls it as well. */
function wireFaultOf(portal: Portal, commands: readonly Command[]): WireFault | undefined {
  for (const { method, params } of commands) {
    const fault = portal.faults.takeWireFault(methodName(method), params);
    if (fault) return fault;
  }
  return undefined;
}

function methodName(given: string): string {
  return given.toLowerCase().replace(/\.json$/, '');
}

function unknownMethod(): RestError {
  return new RestError('ERROR_METHOD_NOT_FOUND', 'Method not found!', 404);
}

function noAuthFound(): RestError {
  return new RestError('NO_AUTH_FOUND', 'Wrong authorization data', 401);
}

function preciseNowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** `time` (api-reference/data-types.md): seconds, and moments. */
function timeOf(startedMs: number): Values {
  const finishedMs = preciseNowMs();
  return {
    start: startedMs / 1000,
    finish: finishedMs / 1000,
    duration: (finishedMs - startedMs) / 1000,
    processing: (finishedMs - startedMs) / 1000,
    date_start: momentOf(startedMs),
    date_finish: momentOf(finishedMs),
  };
}

function shown({ result, next, total, time }: Outcome & { time: Values }): Values {
  const optional: [string, Value][] = [];
  if (next !== undefined) optional.push(['next', next]);
  if (total !== undefined) optional.push(['total', total]);
  return { result, ...Object.fromEntries(optional), time };
}
