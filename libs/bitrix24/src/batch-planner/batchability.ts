import type { Command } from '../rest/batch.js';
import { checkMethod, encodeQuery, holdsReference, type ParamValue } from '../rest/query.js';

/**
 * Whether a command can be sent in a batch. Otherwise it must be sent by `call`, whose JSON can carry what the query
 * strings of a batch cannot, such as empty lists, and in which a portal does not substitute `$result[…]`.
 */
export function canBatch({ method, params = {} }: Command): boolean {
  if ([...leavesOf(params)].some((value) => typeof value === 'string' && holdsReference(value))) return false;
  try {
    checkMethod(method);
    encodeQuery(params);
    return true;
  } catch {
    return false;
  }
}

/** @throws TypeError for a number that is not finite: JSON silently makes it null, which clears a field */
export function checkCallable({ params = {} }: Command): void {
  if ([...leavesOf(params)].some((value) => typeof value === 'number' && !Number.isFinite(value))) {
    throw new TypeError('a parameter is not a finite number');
  }
}

function* leavesOf(value: ParamValue): Generator<ParamValue> {
  if (typeof value !== 'object' || value === null) yield value;
  else for (const inner of Object.values(value)) yield* leavesOf(inner);
}
