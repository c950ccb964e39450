import type { NetworkFault } from '../faults/faults.js';
import type { Values } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';

/** What is sent, and what shall happen to it on its way. */
export interface Answer {
  status: number;
  body: Values;
  fault?: NetworkFault;
}

/** An answer that comes to grief before anything was done for it. */
export function unexecutedAnswer(fault: NetworkFault): Answer {
  return { status: 200, body: {}, fault };
}

/** What `work` makes, its errors shaped as Bitrix24 shapes them; `fault` strikes either. */
export function answerOf(work: () => Values, fault?: NetworkFault): Answer {
  return { ...runWork(work), ...(fault && { fault }) };
}

function runWork(work: () => Values): Answer {
  try {
    return { status: 200, body: work() };
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    return { status: error.status, body: error.body };
  }
}
