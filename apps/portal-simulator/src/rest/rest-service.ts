import type { NetworkFault } from '../faults/faults.js';
import { restRefusal } from '../faults/suspension.js';
import { answerOf, unexecutedAnswer, type Answer } from '../http/answer.js';
import type { OperatingReading, OperatingRequest } from '../limits/operating.js';
import type { ApplicationKeys } from '../oauth/installation.js';
import type { Tokens } from '../oauth/tokens.js';
import type { Portal } from '../portal/portal.js';
import type { Value, Values } from '../protocol/php.js';
import { RestError, systemErrors, unknownMethod } from '../protocol/rest-error.js';
import { checkLength, commandsOf, runBatch, type Command } from './batch.js';
import { applicationMethods, mayCall, methodListMethods } from './common-methods.js';
import { contactMethods } from './contact-methods.js';
import { eventMethods } from './event-methods.js';
import { itemMethods } from './item-methods.js';
import type { Caller, Method, Outcome } from './method.js';
import { authorize, RequestClock, timeOf, type RestRequest } from './request.js';
import { typeMethods } from './type-methods.js';
import { userFieldMethods } from './user-field-methods.js';
import { answerV3 } from './v3.js';

const ownMethods = {
  ...itemMethods,
  ...contactMethods,
  ...typeMethods,
  ...userFieldMethods,
  ...eventMethods,
  ...applicationMethods,
};
const METHODS = new Map<string, Method>(
  Object.entries({ ...ownMethods, ...methodListMethods(Object.keys(ownMethods)) }),
);

const BATCH = 'batch';

/** REST of all portals: bucket, suspension, authorization, faults, operating time, the method, `time`. */
export class RestService {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: ApplicationKeys,
    private readonly now: () => number,
  ) {}

  answer(portal: Portal, request: RestRequest): Answer {
    try {
      return this.handle(portal, request);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      return { status: error.status, body: error.body };
    }
  }

  /** @throws RestError when it gets no further than the door */
  private handle(portal: Portal, request: RestRequest): Answer {
    const clock = new RequestClock(this.now());
    portal.stats.requested(request.callerAddress);
    if (!portal.buckets.take(request.callerAddress, clock.arrivedMs)) {
      portal.stats.refused(request.callerAddress);
      throw systemErrors.tooMany;
    }
    const suspended = restRefusal(portal.suspension, request.webhook !== undefined);
    if (suspended) throw suspended;
    const caller = authorize(portal, request, this.tokens, clock.arrivedMs);
    if (request.version === 3) return answerV3(portal, request, clock);
    const name = methodName(request.method);
    if (name !== BATCH && !isMethod(name)) throw unknownMethod();
    portal.stats.called(name);
    const commands = name === BATCH ? commandsOf(request.params) : [];
    const fault = portal.faults.take(name, request.params) ?? findNetworkFault(portal, commands);
    if (fault instanceof RestError) throw fault;
    if (fault?.executed === false) return unexecutedAnswer(fault);
    const runs = new MethodRuns(portal, caller, this.keys.clientId, clock);
    const work = (): Values => {
      if (name !== BATCH) return shown(runs.run(name, request.params));
      checkLength(commands, portal.settings.batchLength);
      const run = (method: string, params: Values) => runCommand(portal, runs, method, params);
      const result = runBatch(request.params, commands, run, portal.settings.missingReference);
      return shown({ result, time: timeOf(clock, clock.arrivedMs, runs.reading(BATCH)) });
    };
    const answer = answerOf(work, fault);
    runs.end();
    return answer;
  }
}

/** One command of a batch; counted as a call of its method, billed to it, but no request of its own. */
function runCommand(portal: Portal, runs: MethodRuns, method: string, params: Values) {
  const name = methodName(method);
  if (name === BATCH) {
    throw new RestError('ERROR_BATCH_METHOD_NOT_ALLOWED', 'Method is not allowed for batch usage', 405);
  }
  if (!isMethod(name)) throw unknownMethod();
  portal.stats.called(name);
  const refusal = portal.faults.takeRefusal(name, params);
  if (refusal) throw refusal;
  return runs.run(name, params);
}

/** A fault ordered for a method strikes the answer of a batch that calls it as well. */
function findNetworkFault(portal: Portal, commands: readonly Command[]): NetworkFault | undefined {
  for (const { method, params } of commands) {
    const fault = portal.faults.takeNetworkFault(methodName(method), params);
    if (fault) return fault;
  }
  return undefined;
}

function methodName(given: string): string {
  return given.toLowerCase().replace(/\.json$/, '');
}

function shown({ result, next, total, time }: Outcome & { time: Values }): Values {
  const optional: [string, Value][] = [];
  if (next !== undefined) optional.push(['next', next]);
  if (total !== undefined) optional.push(['total', total]);
  return { result, ...Object.fromEntries(optional), time };
}

function isMethod(name: string): boolean {
  return METHODS.has(name);
}

/** The methods that one HTTP request runs: one, or those of a batch; each billed to itself. */
class MethodRuns {
  private readonly used: OperatingRequest;

  constructor(
    private readonly portal: Portal,
    private readonly caller: Caller,
    private readonly clientId: string,
    private readonly clock: RequestClock,
  ) {
    const who = caller.kind === 'webhook' ? caller.secret : caller.access.installation;
    this.used = portal.meterOf(who).request(clock.arrivedMs);
  }

  /** @throws RestError */
  run(name: string, params: Values): Outcome & { time: Values } {
    const { portal, caller, clientId, clock } = this;
    const method = METHODS.get(name);
    if (!method) throw unknownMethod();
    if (!mayCall({ portal, caller }, name)) throw systemErrors.scope;
    const { operatingLimitSeconds: limit, operatingCosts } = portal.settings;
    if (limit !== null && this.used.read(name).operating > limit) {
      throw systemErrors.operating;
    }
    const startedMs = clock.nowMs();
    const outcome = method({ portal, caller, params, clientId, nowMs: clock.arrivedMs, request: clock });
    this.used.add(name, operatingCosts[name] ?? (clock.nowMs() - startedMs) / 1000);
    return { ...outcome, time: timeOf(clock, startedMs, this.reading(name)) };
  }

  /** Undefined at a portal without a limit, which counts nothing. */
  reading(name: string): OperatingReading | undefined {
    return this.portal.settings.operatingLimitSeconds === null ? undefined : this.used.read(name);
  }

  end(): void {
    this.used.end();
  }
}
