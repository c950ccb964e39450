import { toFailure } from '../failure.js';
import { explainAmqpError } from './explain-amqp-error.js';
import { transient, type AddressName, type ConnectionErrorExplanation } from './explanation.js';
import { explainNetworkError } from './explain-network-error.js';
import { explainPostgresError } from './explain-postgres-error.js';

const MAX_CAUSES = 5;

/** An error of a broker or a database in an operator's words; the first of its causes that is known decides. */
export function explainConnectionError(error: unknown, address: AddressName): ConnectionErrorExplanation {
  let cause = error;
  for (let depth = 0; cause instanceof Error && depth < MAX_CAUSES; depth += 1) {
    const fault =
      explainPostgresError(cause) ?? explainAmqpError(cause) ?? explainNetworkError(cause, address);
    if (fault) return fault;
    cause = cause.cause;
  }
  return transient(toFailure(error).message);
}
