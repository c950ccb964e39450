import type { LoggerService } from '@nestjs/common';
import { pino, type DestinationStream, type Logger } from 'pino';
import { describeError, redactLine, redactValue } from './redaction/redact-value.js';

/** What our code asks of a logger: fields first, then one sentence. A pino `Logger` satisfies it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => undefined;
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/**
 * JSON lines, on standard output if not told otherwise; an error is logged as `err` with type, message, code, stack and
 * causes. Secrets are taken out of the finished line, so that nothing gets round it: fields, bindings of children,
 * messages, and what libraries log. It is a second line of defence: no code of ours hands a secret to the log.
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

/** What JSON would not say (errors, Maps, bytes), or would say too long, is turned into what it can; the rest is as it was. */
function readable(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (name === 'err') return [name, value];
      return [name, typeof value === 'object' || typeof value === 'bigint' ? redactValue(value) : value];
    }),
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
  return typeof message === 'string' ? message : JSON.stringify(redactValue(message));
}
