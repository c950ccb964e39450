import { inspect } from 'node:util';
import { EnvironmentError } from '../environment/environment.js';
import { printableLines } from '../redaction/printable.js';
import { redactText } from '../redaction/redact-text.js';
import { redactValue } from '../redaction/redact-value.js';

/** Start-up failed, and a person can fix it: the message says what is wrong and what to do. */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}

interface Coded {
  code: string;
  port?: number;
  address?: string;
}

/** Explains system and PostgreSQL error codes to the operator, with the remedy. */
const sentences: Record<string, (error: Coded) => string> = {
  EADDRINUSE: ({ port }) =>
    `Port ${port ?? ''} is in use by another program: stop that one, or choose another port (PORT, OPS_PORT, SIMULATOR_PORT).`,
  EACCES: ({ port }) =>
    port === undefined
      ? 'Permission denied: this user may not read or write what is needed here.'
      : `This user may not listen on port ${port}: choose one above 1023.`,
  '28P01': () => 'PostgreSQL rejects the password in DATABASE_URL.',
  '28000': () => 'PostgreSQL rejects the user in DATABASE_URL.',
  '3D000': () => 'The database named in DATABASE_URL does not exist: create it first.',
  '42501': () =>
    'The user in DATABASE_URL may not do what is needed here: it must own the database or its schemas.',
};

/** Explains a known error in plain words; undefined if only a stack helps. */
export function explain(error: unknown): string | undefined {
  if (error instanceof StartupError) return error.message;
  const coded = asCoded(error);
  return coded && sentences[coded.code]?.(coded);
}

/** Whether PostgreSQL rejects permanently, by the error's code; all other errors may be transient. */
export function isPermanentRejection(error: unknown): boolean {
  const code = asCoded(error)?.code ?? '';
  return ['28P01', '28000', '3D000', '42501'].includes(code);
}

function asCoded(error: unknown): Coded | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  const port = 'port' in error && typeof error.port === 'number' ? error.port : undefined;
  return { code: error.code, port };
}

const MAX_CAUSE_DEPTH = 5;

/**
 * Formats the error that ended a process for standard error: one sentence if a person can fix it, else the stack with
 * its causes. Secrets are redacted, because drivers quote addresses with passwords.
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
