/** Rounds with and without the event log, in the same processes. */
import { join } from 'node:path';
import { metric } from './metrics.mjs';
import { until } from './wait.mjs';

const TIMEOUT_MS = 10_000;

export class EventLogSwitch {
  /** What the apps have to import. */
  static file = join(import.meta.dirname, 'event-log-switch.mjs');
  /** Rows wait for others for half a second; then a group is written. */
  static lingerMs = 800;

  #system;
  #apps;
  #signal;
  #isOn = true;
  #rows = 0;

  /** @param {import('./system.mjs').System} system @param {readonly string[]} apps that write it @param {AbortSignal} signal */
  constructor(system, apps, signal) {
    this.#system = system;
    this.#apps = apps;
    this.#signal = signal;
  }

  /** @param {boolean} isOn */
  async turn(isOn) {
    if (isOn !== this.#isOn) {
      for (const app of this.#apps) process.kill(this.#system.apps[app]?.pid() ?? NaN, 'SIGUSR2');
    }
    this.#isOn = isOn;
    this.#rows = await this.#stored();
  }

  /** Throws unless so many rows were written since the last turn, or more. @param {number} least 0: none */
  async check(least) {
    const written = async () => (await this.#stored()) - this.#rows;
    if (least === 0) {
      const rows = await written();
      if (rows > 0) throw new Error(`${rows} rows were written though the event log is off`);
      return;
    }
    await until('the event log was not written', async () => (await written()) >= least || undefined, {
      timeoutMs: TIMEOUT_MS,
      signal: this.#signal,
    });
  }

  async #stored() {
    let rows = 0;
    for (const app of this.#apps)
      rows += await metric(this.#system.apps[app]?.opsUrl ?? '', 'relay_event_log_rows_total', this.#signal);
    return rows;
  }
}
