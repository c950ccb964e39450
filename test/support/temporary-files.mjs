import { statfsSync } from 'node:fs';

const MEMORY = '/dev/shm';
const MIN_FREE_BYTES = 3 * 1024 ** 3;

/**
 * Temporary folders of this process and its children are kept in memory where there is enough of it: journals and
 * databases of tests sync their files all the time, and what they survive is the end of a process, not of the machine.
 */
export function keepTemporaryFilesInMemory() {
  if (process.env['TMPDIR'] !== undefined) return;
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    if (bavail * bsize >= MIN_FREE_BYTES) process.env['TMPDIR'] = MEMORY;
  } catch {
    // Not on this system.
  }
}
