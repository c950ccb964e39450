import { toFailure } from '../failure.js';
import { explainAmqpError } from './explain-amqp-error.js';
import { transient, type AddressName, type ConnectionErrorExplanation } from './explanation.js';
import { explainNetworkError } from './explain-network-error.js';
import { explainPostgresError } from './explain-postgres-error.js';

const MAX_CAUSES = 5;

/** Explains a broker or database error to an operator; the first known error in its chain of causes decides. */
export function explainConnectionError(error: unknown, address: AddressName): ConnectionErrorExplanation {
  let cause = error;
  for (let depth = 0; cause instanceof Error && depth < MAX_CAUSES; depth += 1) {
    const explanation =
      explainPostgresError(cause) ?? explainAmqpError(cause) ?? explainNetworkError(cause, address);
    if (explanation) return explanation;
    cause = cause.cause;
  }
  return transient(toFailure(error).message);
}
