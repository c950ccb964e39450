import { toFailure } from '../failure.js';
import { amqpFault } from './amqp-fault.js';
import { passing, type AddressName, type Fault } from './fault.js';
import { networkFault } from './network-fault.js';
import { postgresFault } from './postgres-fault.js';

const longestChain = 5;

/** An error of a broker or a database in an operator's words; the first of its causes that is known decides. */
export function describeFault(error: unknown, address: AddressName): Fault {
  let cause = error;
  for (let depth = 0; cause instanceof Error && depth < longestChain; depth += 1) {
    const fault = postgresFault(cause) ?? amqpFault(cause) ?? networkFault(cause, address);
    if (fault) return fault;
    cause = cause.cause;
  }
  return passing(toFailure(error).message);
}
