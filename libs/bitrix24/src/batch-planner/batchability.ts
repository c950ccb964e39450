import type { Command } from '../batch.js';
import { checkMethod } from '../method.js';
import { encodeQuery, holdsReference, type ParamValue } from '../query.js';

/**
 * Whether a command can travel in a batch. Else it must go by `call`, whose JSON carries what the queries of a batch
 * cannot, such as empty lists, and in which a portal does not replace `$result[…]` by what another command returned.
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

/** @throws TypeError for what JSON would change in silence: a number that is not finite becomes null, which clears a field */
export function checkCallable({ params = {} }: Command): void {
  if ([...leavesOf(params)].some((value) => typeof value === 'number' && !Number.isFinite(value))) {
    throw new TypeError('a parameter is not a finite number');
  }
}

function* leavesOf(value: ParamValue): Generator<ParamValue> {
  if (typeof value !== 'object' || value === null) yield value;
  else for (const inner of Object.values(value)) yield* leavesOf(inner);
}
