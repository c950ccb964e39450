import type { Log } from '@relay/platform';
import { explainConnectionError } from './connection-errors/explain-connection-error.js';
import type { AddressName } from './connection-errors/explanation.js';
import type { BusHealth } from './bus-health.js';

/** A trouble that lasts is said again after this time, for whoever looks at the log of today only. */
const REMIND_MS = 10 * 60_000;

export interface ConnectionReportOptions {
  /** `publish`, `retry`, `consume <consumer>`. */
  name: string;
  address: AddressName;
  log: Log;
  busHealth?: BusHealth | undefined;
  /** Milliseconds, for tests. */
  now?: () => number;
}

/**
 * Says how one connection fares: in the log each trouble once, and not at every attempt, and to whoever asks whether
 * the process can work.
 */
export class ConnectionReport {
  private said: { sentence: string; at: number } | undefined;
  /** `up` was said and nothing else since. */
  private isSaidUp = false;

  constructor(private readonly options: ConnectionReportOptions) {}

  /** @param fields for the log alone */
  down(cause: unknown, fields: Readonly<Record<string, number>> = {}): void {
    const { name: connection, address, log, busHealth, now = Date.now } = this.options;
    const { sentence: reason, requiresOperator } = explainConnectionError(cause, address);
    busHealth?.set(connection, reason);
    const isSaid = !this.isSaidUp && this.said?.sentence === reason && now() - this.said.at < REMIND_MS;
    if (isSaid) {
      log.debug({ connection, reason, ...fields }, 'bus connection is still down');
      return;
    }
    this.said = { sentence: reason, at: now() };
    this.isSaidUp = false;
    const line = { connection, reason, err: cause, ...fields };
    if (requiresOperator) log.error(line, 'the bus cannot be used until a person mends it; trying on');
    else log.warn(line, 'bus connection is down, will connect again');
  }

  up(): void {
    const { name: connection, log, busHealth } = this.options;
    busHealth?.set(connection, undefined);
    if (this.isSaidUp) return;
    this.isSaidUp = true;
    log.info({ connection }, 'bus connection is up');
  }

  /** The connection is no longer wanted. */
  close(): void {
    this.options.busHealth?.set(this.options.name, undefined);
  }
}
