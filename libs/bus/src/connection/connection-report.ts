import type { Log } from '@relay/platform';
import { type AddressName, explainConnectionError } from './explain-connection-error.js';

/** What is wrong with the connections of one bus right now, as shown to an operator. */
export class BusHealth {
  private readonly reasons = new Map<string, string>();

  /** @param reason undefined when the connection is healthy */
  set(connection: string, reason: string | undefined): void {
    if (reason === undefined) this.reasons.delete(connection);
    else this.reasons.set(connection, reason);
  }

  /** One line, each problem once; undefined when there is none. Contains no secrets. */
  get reason(): string | undefined {
    const unique = new Set(this.reasons.values());
    return unique.size === 0 ? undefined : [...unique].join(' ');
  }
}

/** A persistent problem is logged again after this time, so that it also appears in today's log. */
const REMIND_MS = 10 * 60_000;

interface ConnectionReportOptions {
  /** `publish`, `retry`, `consume <consumer>`. */
  name: string;
  address: AddressName;
  log: Log;
  busHealth?: BusHealth | undefined;
  /** Clock in milliseconds, for tests. */
  now?: () => number;
}

/**
 * Reports the state of one connection: to the log once per problem rather than at every attempt, and to the health
 * check.
 */
export class ConnectionReport {
  private lastReport: { reason: string; at: number } | undefined;
  /** `up` was the last thing logged. */
  private isUpLogged = false;

  constructor(private readonly options: ConnectionReportOptions) {}

  /** @param fields for the log only */
  down(cause: unknown, fields: Readonly<Record<string, number>> = {}): void {
    const { name: connection, address, log, busHealth, now = Date.now } = this.options;
    const { reason, requiresOperator } = explainConnectionError(cause, address);
    busHealth?.set(connection, reason);
    const isRepeated =
      !this.isUpLogged && this.lastReport?.reason === reason && now() - this.lastReport.at < REMIND_MS;
    if (isRepeated) {
      log.debug({ connection, reason, ...fields }, 'the bus connection is still down');
      return;
    }
    this.lastReport = { reason, at: now() };
    this.isUpLogged = false;
    const line = { connection, reason, err: cause, ...fields };
    if (requiresOperator)
      log.error(
        { event: 'bus.connection.rejected', ...line },
        'the bus rejects the connection until an operator acts; retrying',
      );
    else log.warn({ event: 'bus.connection.down', ...line }, 'the bus connection is down; reconnecting');
  }

  up(): void {
    const { name: connection, log, busHealth } = this.options;
    busHealth?.set(connection, undefined);
    if (this.isUpLogged) return;
    this.isUpLogged = true;
    log.info({ connection }, 'the bus connection is up');
  }

  /** The connection is no longer needed. */
  close(): void {
    this.options.busHealth?.set(this.options.name, undefined);
  }
}
