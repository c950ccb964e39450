import { inspect } from 'node:util';
import { EnvironmentError } from './environment.js';
import { printableLines } from './printable.js';
import { redactText } from './redaction/redact-text.js';
import { redactValue } from './redaction/redact-value.js';
import { explain } from './startup-error.js';

const MAX_CAUSE_DEPTH = 5;

/**
 * What a process says on standard error of whatever ended it: one sentence where a person can mend it, else the stack
 * with its causes. Without secrets, for drivers quote addresses with their passwords.
 */
export function formatFatalError(error: unknown): string {
  return printableLines(redactText(describe(error, 0)));
}

function describe(error: unknown, depth: number): string {
  if (typeof error === 'string') return error;
  if (!(error instanceof Error)) return inspect(redactValue(error));
  if (error instanceof EnvironmentError) return error.message;
  const sentence = explain(error);
  if (sentence !== undefined) return sentence;
  if (depth >= MAX_CAUSE_DEPTH) return error.message;
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((one) => describe(one, depth + 1)).join('; ');
  }
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\n  caused by: ${describe(error.cause, depth + 1)}`;
}
