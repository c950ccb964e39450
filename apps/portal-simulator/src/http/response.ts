import type { NetworkFault } from '../faults/faults.js';
import type { Values } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';

/** A REST response, and the fault that breaks it on its way. */
export interface RestResponse {
  status: number;
  body: Values;
  fault?: NetworkFault;
  /** How long its methods take at a portal whose settings say so (`methodMs`). */
  takesMs?: number;
}

/** A response that is broken by a fault before the method runs. */
export function notExecuted(fault: NetworkFault): RestResponse {
  return { status: 200, body: {}, fault };
}

/** The result of `work`, or its RestError as Bitrix24 sends it; `fault` strikes both. */
export function respond(work: () => Values, fault?: NetworkFault): RestResponse {
  return { ...runWork(work), ...(fault && { fault }) };
}

function runWork(work: () => Values): RestResponse {
  try {
    return { status: 200, body: work() };
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    return { status: error.status, body: error.body };
  }
}
