import type { NetworkFault } from '../faults/faults.js';
import { restErrorOf } from '../faults/suspension.js';
import { respond, notExecuted, type RestResponse } from '../http/response.js';
import type { OperatingReading, OperatingRequest } from '../limits/operating.js';
import type { ApplicationKeys } from '../oauth/installation.js';
import type { Tokens } from '../oauth/tokens.js';
import type { Portal } from '../portal/portal.js';
import { integerOf, type Value, type Values } from '../protocol/php.js';
import { RestError, SYSTEM_ERRORS, unknownMethod } from '../protocol/rest-error.js';
import { checkLength, commandsOf, runBatch, type Command } from './batch.js';
import { activityMethods } from './activity-methods.js';
import { applicationMethods, mayCall, methodListMethods } from './common-methods.js';
import { contactMethods } from './contact-methods.js';
import { eventMethods } from './event-methods.js';
import { itemMethods } from './item-methods.js';
import { connectorOf, type Caller, type Method, type Outcome } from './method.js';
import { offlineMethods, requireFeature } from './offline-methods.js';
import { pipelineMethods } from './pipeline-methods.js';
import { productRowMethods } from './product-row-methods.js';
import { recordedMethods } from './recorded-methods.js';
import { authorize, RequestClock, timeOf, type RestRequest } from './request.js';
import { typeMethods } from './type-methods.js';
import { userFieldMethods } from './user-field-methods.js';
import { userMethods } from './user-methods.js';
import { handleV3 } from './v3.js';

const METHODS_WITHOUT_LIST = {
  ...itemMethods,
  ...contactMethods,
  ...productRowMethods,
  ...activityMethods,
  ...pipelineMethods,
  ...typeMethods,
  ...userFieldMethods,
  ...userMethods,
  ...recordedMethods,
  ...eventMethods,
  ...offlineMethods,
  ...applicationMethods,
};
const METHODS = new Map<string, Method>(
  Object.entries({ ...METHODS_WITHOUT_LIST, ...methodListMethods(Object.keys(METHODS_WITHOUT_LIST)) }),
);

const BATCH = 'batch';

/** REST of all portals: bucket, suspension, authorization, faults, operating time, the method, `time`. */
export class RestService {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: ApplicationKeys,
    private readonly now: () => number,
  ) {}

  handle(portal: Portal, request: RestRequest): RestResponse {
    try {
      return this.execute(portal, request);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      return { status: error.status, body: error.body };
    }
  }

  /** @throws RestError if the request is rejected before a method runs */
  private execute(portal: Portal, request: RestRequest): RestResponse {
    const clock = new RequestClock(this.now());
    portal.stats.countRequest(request.callerAddress);
    if (!portal.buckets.take(request.callerAddress, clock.arrivedMs)) {
      portal.stats.countRejection(request.callerAddress);
      throw SYSTEM_ERRORS.tooMany;
    }
    const suspensionError = restErrorOf(portal.suspension, request.webhook !== undefined);
    if (suspensionError) throw suspensionError;
    const caller = authorize(portal, request, this.tokens, clock.arrivedMs);
    if (request.version === 3) return handleV3(portal, request, clock);
    const name = methodName(request.method);
    if (name !== BATCH && !isMethod(name)) throw unknownMethod();
    portal.stats.countCall(name);
    const commands = name === BATCH ? commandsOf(request.params) : [];
    const fault = portal.faults.take(name, request.params) ?? findNetworkFault(portal, commands);
    if (fault instanceof RestError) throw fault;
    if (fault?.executed === false) return notExecuted(fault);
    const runs = new MethodRuns(portal, caller, this.keys.clientId, clock);
    const connector = connectorOf(request);
    if (connector !== '') requireFeature({ portal }, 'rest_auth_connector');
    const work = (): Values => {
      if (name !== BATCH) return toBody(runs.run(name, request.params));
      checkLength(commands, portal.settings.batchLength);
      // The `rest` module reads it from the request, and it holds for all commands; the documentation shows it with a method.
      const ofRequest: Values = connector === '' ? {} : { auth_connector: connector };
      const run = (method: string, params: Values) =>
        runCommand(portal, runs, method, { ...ofRequest, ...params });
      const result = runBatch(request.params, commands, run, portal.settings.missingReference);
      return toBody({ result, time: timeOf(clock, clock.arrivedMs, runs.reading(BATCH)) });
    };
    const response = respond(work, fault);
    runs.end();
    return { ...response, takesMs: runs.takesMs };
  }
}

/** Runs one command of a batch: counted and billed as a call of its method, not as a request. */
function runCommand(portal: Portal, runs: MethodRuns, method: string, params: Values) {
  const name = methodName(method);
  if (name === BATCH) {
    throw new RestError('ERROR_BATCH_METHOD_NOT_ALLOWED', 'Method is not allowed for batch usage', 405);
  }
  if (!isMethod(name)) throw unknownMethod();
  portal.stats.countCall(name);
  const rejection = portal.faults.takeError(name, params);
  if (rejection) throw rejection;
  return runs.run(name, params);
}

/** A network fault of a method strikes the response of a batch that calls it. */
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

function toBody({ result, next, total, time }: Outcome & { time: Values }): Values {
  const optional: [string, Value][] = [];
  if (next !== undefined) optional.push(['next', next]);
  if (total !== undefined) optional.push(['total', total]);
  return { result, ...Object.fromEntries(optional), time };
}

function isMethod(name: string): boolean {
  return METHODS.has(name);
}

const CRM_WRITE = /^crm\..+\.(?:add|update|delete|set)$/;

function writeOf(method: string, params: Values): Values {
  return {
    method,
    entityTypeId: integerOf(params['entityTypeId']) ?? null,
    itemId: integerOf(params['id']) ?? null,
  };
}

/** Runs the methods of one HTTP request: one, or those of a batch. Each is billed to itself. */
class MethodRuns {
  takesMs = 0;
  private readonly operating: OperatingRequest;

  constructor(
    private readonly portal: Portal,
    private readonly caller: Caller,
    private readonly clientId: string,
    private readonly clock: RequestClock,
  ) {
    const meterKey = caller.kind === 'webhook' ? caller.secret : caller.access.installation;
    this.operating = portal.meterOf(meterKey).request(clock.arrivedMs);
  }

  /** @throws RestError */
  run(name: string, params: Values): Outcome & { time: Values } {
    const { portal, caller, clientId, clock } = this;
    const method = METHODS.get(name);
    if (!method) throw unknownMethod();
    if (!mayCall({ portal, caller }, name)) throw SYSTEM_ERRORS.scope;
    const { operatingLimitSeconds: limit, operatingCosts, methodMs } = portal.settings;
    if (limit !== null && this.operating.read(name).operating > limit) {
      throw SYSTEM_ERRORS.operating;
    }
    const call = { portal, caller, params, clientId, nowMs: clock.arrivedMs, request: clock };
    // Any call that carries it is rejected without the feature.
    if (connectorOf(call) !== '') requireFeature(call, 'rest_auth_connector');
    const startedMs = clock.nowMs();
    const takesMs = methodMs[name] ?? 0;
    this.takesMs += takesMs;
    const outcome = method(call);
    if (CRM_WRITE.test(name)) portal.recorder.writes.add(writeOf(name, params));
    this.operating.add(name, operatingCosts[name] ?? (takesMs + clock.nowMs() - startedMs) / 1000);
    return { ...outcome, time: timeOf(clock, startedMs, this.reading(name)) };
  }

  /** Undefined at a portal without a limit: it counts no operating time. */
  reading(name: string): OperatingReading | undefined {
    return this.portal.settings.operatingLimitSeconds === null ? undefined : this.operating.read(name);
  }

  end(): void {
    this.operating.end();
  }
}
