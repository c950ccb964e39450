import type { Log } from '@relay/platform';
import { explainConnectionError } from './connection-errors/explain-connection-error.js';
import type { AddressName } from './connection-errors/explanation.js';
import type { BusHealth } from './bus-health.js';

/** A persistent problem is logged again after this time, so that it also appears in today's log. */
const REMIND_MS = 10 * 60_000;

export interface ConnectionReportOptions {
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
  private said: { sentence: string; at: number } | undefined;
  /** `up` was the last thing logged. */
  private isUpLogged = false;

  constructor(private readonly options: ConnectionReportOptions) {}

  /** @param fields for the log only */
  down(cause: unknown, fields: Readonly<Record<string, number>> = {}): void {
    const { name: connection, address, log, busHealth, now = Date.now } = this.options;
    const { sentence: reason, requiresOperator } = explainConnectionError(cause, address);
    busHealth?.set(connection, reason);
    const isSaid = !this.isUpLogged && this.said?.sentence === reason && now() - this.said.at < REMIND_MS;
    if (isSaid) {
      log.debug({ connection, reason, ...fields }, 'bus connection is still down');
      return;
    }
    this.said = { sentence: reason, at: now() };
    this.isUpLogged = false;
    const line = { connection, reason, err: cause, ...fields };
    if (requiresOperator) log.error(line, 'the bus cannot be used until a person mends it; trying on');
    else log.warn(line, 'bus connection is down, will connect again');
  }

  up(): void {
    const { name: connection, log, busHealth } = this.options;
    busHealth?.set(connection, undefined);
    if (this.isUpLogged) return;
    this.isUpLogged = true;
    log.info({ connection }, 'bus connection is up');
  }

  /** The connection is no longer needed. */
  close(): void {
    this.options.busHealth?.set(this.options.name, undefined);
  }
}
