import type { NetworkFault } from '../faults/faults.js';
import { restRefusal } from '../faults/suspension.js';
import { answerOf, unexecutedAnswer, type Answer } from '../http/answer.js';
import type { ApplicationKeys } from '../oauth/installation.js';
import type { Tokens } from '../oauth/tokens.js';
import type { Portal } from '../portal/portal.js';
import type { Value, Values } from '../protocol/php.js';
import { RestError, systemErrors, unknownMethod } from '../protocol/rest-error.js';
import { authorize } from './authorization.js';
import { checkLength, commandsOf, runBatch, type Command } from './batch.js';
import { isMethod, MethodRuns } from './method-runs.js';
import type { Outcome } from './method.js';
import type { RestRequest } from './request.js';
import { RequestClock, timeOf } from './time.js';
import { answerV3 } from './v3.js';

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
