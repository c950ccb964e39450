import { readFileSync } from 'node:fs';
import { median } from '../support/quantiles.mjs';

/** @typedef {{ at: number, bytes: number }} Sample milliseconds of `performance.now()`, resident memory */
/**
 * @typedef {object} Watched
 * @property {number} peak the most that was resident in this time
 * @property {number} middle the median of the fifth in the middle of the time
 * @property {number} end that of the last fifth
 */

const everyMs = 200;

/** Looks at the resident memory of processes, as Linux tells it. */
export class MemoryWatch {
  #pids;
  /** @type {Record<string, Sample[]>} */
  #samples = {};
  /** @type {unknown} */
  #failure;
  #timer;

  /** @param {Record<string, () => number>} pids by the name of the process */
  constructor(pids) {
    this.#pids = pids;
    this.#look();
    this.#timer = setInterval(() => this.#look(), everyMs);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** @returns {Record<string, Watched>} @throws when one of the processes has ended meanwhile */
  results() {
    if (this.#failure) throw this.#failure;
    return Object.fromEntries(
      Object.entries(this.#samples).map(([name, samples]) => [name, summary(samples)]),
    );
  }

  #look() {
    const at = performance.now();
    try {
      for (const [name, pid] of Object.entries(this.#pids)) {
        (this.#samples[name] ??= []).push({ at, bytes: residentBytes(pid()) });
      }
    } catch (error) {
      this.#failure ??= error;
    }
  }
}

/** @param {number} pid */
function residentBytes(pid) {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`the memory of process ${pid} cannot be read`);
  return Number(kilobytes) * 1024;
}

/** @param {readonly Sample[]} samples in their order, one at least @returns {Watched} */
export function summary(samples) {
  const [from = 0, to = 0] = [samples[0]?.at, samples.at(-1)?.at];
  const medianOf = (/** @type {number} */ begin, /** @type {number} */ end) => {
    const part = samples.filter(
      ({ at }) => at >= from + (to - from) * begin && at <= from + (to - from) * end,
    );
    // A phase that is over between two looks.
    return median((part.length > 0 ? part : samples).map(({ bytes }) => bytes));
  };
  return {
    peak: Math.max(...samples.map(({ bytes }) => bytes)),
    middle: medianOf(0.4, 0.6),
    end: medianOf(0.8, 1),
  };
}
