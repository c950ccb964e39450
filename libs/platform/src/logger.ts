import type { LoggerService } from '@nestjs/common';
import { pino, type DestinationStream, type Logger } from 'pino';

/** What our code asks of a logger: fields first, then one sentence. A pino `Logger` satisfies it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => undefined;
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** A second line of defence only: no code of ours hands a secret to the log in the first place. */
const secretFields = [
  'accessToken',
  'refreshToken',
  'applicationToken',
  'access_token',
  'refresh_token',
  'application_token',
  'client_secret',
  'clientSecret',
  'auth',
  'authorization',
  'password',
];

/**
 * Only what every error has: drivers and libraries hang queries with their parameters, rows, or addresses with their
 * passwords on the errors they throw.
 */
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: typeof error === 'string' ? error : typeof error };
  return {
    type: error.name,
    message: error.message,
    ...('code' in error && { code: error.code }),
    stack: error.stack,
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
  };
}

/** JSON lines, on standard output if not told otherwise; an error is logged as `err` with type, message, code and stack. */
export function createLogger(app: string, level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: { app },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: describeError },
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: secretFields.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
        censor: '[secret]',
      },
    },
    destination,
  );
}

/** Nest's own messages, in the same lines as ours; its start-up chatter is for `debug`. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, context?: unknown): void {
    this.logger.debug({ context }, text(message));
  }
  warn(message: unknown, context?: unknown): void {
    this.logger.warn({ context }, text(message));
  }
  error(message: unknown, ...rest: unknown[]): void {
    const err = message instanceof Error ? message : undefined;
    this.logger.error({ err, context: rest.at(-1) }, err ? err.message : text(message));
  }
  fatal(message: unknown, context?: unknown): void {
    this.logger.fatal({ context }, text(message));
  }
  debug(message: unknown, context?: unknown): void {
    this.logger.debug({ context }, text(message));
  }
  verbose(message: unknown, context?: unknown): void {
    this.logger.trace({ context }, text(message));
  }
}

function text(message: unknown): string {
  return typeof message === 'string' ? message : JSON.stringify(message);
}
