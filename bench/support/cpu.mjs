import { readFileSync } from 'node:fs';

/** Of Linux, whatever the machine's own clock (`man 5 proc`). */
const TICKS_A_SECOND = 100;

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
