import type { OperatingReading, OperatingRequest } from '../limits/operating.js';
import type { Portal } from '../portal/portal.js';
import type { Values } from '../protocol/php.js';
import { systemErrors, unknownMethod } from '../protocol/rest-error.js';
import { applicationMethods } from './application-methods.js';
import { contactMethods } from './contact-methods.js';
import { eventMethods } from './event-methods.js';
import { itemMethods } from './item-methods.js';
import { mayCall, methodListMethods } from './method-list.js';
import type { Caller, Method, Outcome } from './method.js';
import { timeOf, type RequestClock } from './time.js';
import { typeMethods } from './type-methods.js';
import { userFieldMethods } from './user-field-methods.js';

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

export function isMethod(name: string): boolean {
  return METHODS.has(name);
}

/** The methods that one HTTP request runs: one, or those of a batch; each billed to itself. */
export class MethodRuns {
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
