import { cpus } from 'node:os';

/** How busy this machine is, with whatever runs on it: what is measured on a busy one says more of it than of us. */
export class BusyWatch {
  #before = times();

  /** Of the time of all cores since the start, 0 to 1. */
  share() {
    const now = times();
    const all = now.all - this.#before.all;
    return all > 0 ? 1 - (now.idle - this.#before.idle) / all : 0;
  }
}

function times() {
  let [all, idle] = [0, 0];
  for (const { times: core } of cpus()) {
    all += core.user + core.nice + core.sys + core.irq + core.idle;
    idle += core.idle;
  }
  return { all, idle };
}
