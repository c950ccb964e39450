import type { Log } from '@relay/platform';
import { describeFault } from './faults/describe-fault.js';
import type { AddressName } from './faults/fault.js';
import type { BusTroubles } from './bus-troubles.js';

/** A trouble that lasts is said again after this time, for whoever looks at the log of today only. */
const remindMs = 10 * 60_000;

export interface ConnectionReportOptions {
  /** `publish`, `retry`, `consume <consumer>`. */
  name: string;
  address: AddressName;
  log: Log;
  troubles?: BusTroubles | undefined;
  /** Milliseconds, for tests. */
  now?: () => number;
}

/**
 * Says how one connection fares: in the log each trouble once, and not at every attempt, and to whoever asks whether
 * the process can work.
 */
export class ConnectionReport {
  #said: { sentence: string; at: number } | undefined;
  /** `up` was said and nothing else since. */
  #isSaidUp = false;

  constructor(private readonly options: ConnectionReportOptions) {}

  /** @param fields for the log alone */
  down(cause: unknown, fields: Readonly<Record<string, number>> = {}): void {
    const { name: connection, address, log, troubles, now = Date.now } = this.options;
    const { sentence: reason, needsPerson } = describeFault(cause, address);
    troubles?.set(connection, reason);
    const isSaid = !this.#isSaidUp && this.#said?.sentence === reason && now() - this.#said.at < remindMs;
    if (isSaid) {
      log.debug({ connection, reason, ...fields }, 'bus connection is still down');
      return;
    }
    this.#said = { sentence: reason, at: now() };
    this.#isSaidUp = false;
    const line = { connection, reason, err: cause, ...fields };
    if (needsPerson) log.error(line, 'the bus cannot be used until a person mends it; trying on');
    else log.warn(line, 'bus connection is down, will connect again');
  }

  up(): void {
    const { name: connection, log, troubles } = this.options;
    troubles?.set(connection, undefined);
    if (this.#isSaidUp) return;
    this.#isSaidUp = true;
    log.info({ connection }, 'bus connection is up');
  }

  /** The connection is no longer wanted. */
  close(): void {
    this.options.troubles?.set(this.options.name, undefined);
  }
}
