import { readdirSync, readFileSync } from 'node:fs';

/** Of Linux, whatever the machine's own clock (`man 5 proc`). */
const TICKS_A_SECOND = 100;
const WATCH_EVERY_MS = 250;

/**
 * What a process has taken of the processors so far, all of its threads, in seconds; undefined where the system does not tell.
 * @param {number} pid
 */
export function cpuSeconds(pid) {
  try {
    // The name of the program, in brackets, can hold blanks.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
  } catch {
    return undefined;
  }
}

/**
 * The same to the nanosecond, as the scheduler counts it for each thread. @param {number} pid
 * @throws where the system does not tell
 */
export function threadSeconds(pid) {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const [spent] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    nanoseconds += Number(spent);
  }
  return nanoseconds / 1e9;
}

/** Of the broker on this machine, whoever uses it; 0 where it is elsewhere. */
export function brokerCpuSeconds() {
  let seconds = 0;
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8') === 'beam.smp\n') seconds += cpuSeconds(Number(pid)) ?? 0;
    } catch {
      // It has ended meanwhile.
    }
  }
  return seconds;
}

/**
 * Of the server's processes that have this database open; PostgreSQL says so in their titles. They are watched, because
 * what a process has taken is gone with it: autovacuum's workers come and go.
 */
export class DatabaseCpu {
  /** @type {Map<number, number>} */
  #last = new Map();
  #seconds = 0;
  #name;
  #timer;

  /** @param {string} url */
  constructor(url) {
    this.#name = new URL(url).pathname.slice(1);
    this.#timer = setInterval(() => this.seconds(), WATCH_EVERY_MS);
    this.#timer.unref();
  }

  /** So far. */
  seconds() {
    for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) this.#add(Number(pid));
    return this.#seconds;
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** @param {number} pid */
  #add(pid) {
    try {
      const title = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (!title.startsWith('postgres') || !title.split(/[ \0]/).includes(this.#name)) return;
    } catch {
      // It has ended meanwhile.
      return;
    }
    const now = cpuSeconds(pid) ?? 0;
    const last = this.#last.get(pid) ?? 0;
    // Less than before: another process has its number.
    this.#seconds += now >= last ? now - last : now;
    this.#last.set(pid, now);
  }
}
