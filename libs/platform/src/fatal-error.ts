import { inspect } from 'node:util';
import { EnvironmentError } from './environment.js';
import { printableLines } from './redaction/printable.js';
import { redactText } from './redaction/redact-text.js';
import { redactValue } from './redaction/redact-value.js';

/** Start-up cannot go on, and a person can mend it: the message says what is wrong and what to do. */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}

interface Coded {
  code: string;
  port?: number;
  address?: string;
}

/** What the system's and PostgreSQL's codes mean to whoever started the process, and the way out. */
const sentences: Record<string, (error: Coded) => string> = {
  EADDRINUSE: ({ port }) =>
    `Port ${port ?? ''} is in use by another program: stop that one, or choose another port (PORT, OPS_PORT, SIMULATOR_PORT).`,
  EACCES: ({ port }) =>
    port === undefined
      ? 'Permission denied: this user may not read or write what is needed here.'
      : `This user may not listen on port ${port}: choose one above 1023.`,
  '28P01': () => 'PostgreSQL refuses the password in DATABASE_URL.',
  '28000': () => 'PostgreSQL refuses the user in DATABASE_URL.',
  '3D000': () => 'The database named in DATABASE_URL does not exist: create it first.',
  '42501': () =>
    'The user in DATABASE_URL may not do what is needed here: it must own the database or its schemas.',
};

/** In plain words where the error is a known one; undefined where only a stack helps. */
export function explain(error: unknown): string | undefined {
  if (error instanceof StartupError) return error.message;
  const coded = asCoded(error);
  return coded && sentences[coded.code]?.(coded);
}

/** Codes under which PostgreSQL refuses for good; everything else may pass. */
export function isRefusal(error: unknown): boolean {
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
