import type { LoggerService } from '@nestjs/common';
import { pino, type DestinationStream, type Logger } from 'pino';
import { describeError, redactLine, redactValue } from '../redaction/redact-value.js';

/** The logger interface of our code: fields first, then one sentence. A pino `Logger` implements it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => undefined;
/** Injection token of the log of a process. */
export const LOG = Symbol('Log');

export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/**
 * Writes JSON lines, by default to standard output; an error is logged as `err` with type, message, code, stack and
 * causes. Secrets are redacted in the finished line, so that fields, bindings of child loggers, messages and the lines
 * of libraries are all covered. It is a second line of defence: our code never logs a secret.
 */
export function createLogger(app: string, level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: { app },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: describeError },
      formatters: { level: (label) => ({ level: label }), log: readable },
      hooks: { streamWrite: redactLine },
    },
    destination,
  );
}

/** Converts values that JSON omits (errors, Maps, bytes) or that are too long; other values are unchanged. */
function readable(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (name === 'err') return [name, value];
      return [name, typeof value === 'object' || typeof value === 'bigint' ? redactValue(value) : value];
    }),
  );
}

/**
 * Warns where a process has several Nest apps, as `npm start` has: it takes them for one. Each finds its data source in its own
 * injector.
 */
const DATA_SOURCE_NAMES = 'DataSourceNameRegistry';

/** Nest's own messages in the same format; its start-up messages have the level `debug`. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, context?: unknown): void {
    this.logger.debug({ context }, text(message));
  }
  warn(message: unknown, context?: unknown): void {
    this.logger[context === DATA_SOURCE_NAMES ? 'debug' : 'warn']({ context }, text(message));
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
  return typeof message === 'string' ? message : JSON.stringify(redactValue(message));
}
