/** The disk of the gateways' journal, which can be full: a real one of its own, or where that may not be, a limit. */
import { execFile } from 'node:child_process';
import { closeSync, cpSync, existsSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const sizeMb = 16;

/**
 * @typedef {object} JournalDisk
 * @property {string} path
 * @property {string} kind for the report
 * @property {boolean} canFill
 * @property {(pids: readonly number[]) => Promise<void>} fill for every process of these
 * @property {(pids: readonly number[]) => Promise<void>} free
 * @property {() => Promise<void>} close
 */

/** @param {string} folder @returns {Promise<JournalDisk>} */
export async function journalDisk(folder) {
  const path = join(folder, 'data');
  mkdirSync(path);
  return (await mounted(path, folder)) ?? (await limited(path)) ?? plain(path);
}

/** @param {string} path @param {string} folder @returns {Promise<JournalDisk | undefined>} undefined where mounting is not allowed */
async function mounted(path, folder) {
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeMb}m,mode=0700`, 'relay-chaos', path]);
  } catch {
    return undefined;
  }
  const filler = join(path, 'filler');
  return {
    path,
    kind: `a tmpfs of ${sizeMb} MB that is filled up`,
    canFill: true,
    fill: async () => fillUp(filler),
    free: async () => rmSync(filler, { force: true }),
    close: async () => {
      // What was left in it goes with it, and says perhaps why something is missing.
      const left = join(path, 'journal');
      if (existsSync(left)) cpSync(left, join(folder, 'journal'), { recursive: true });
      await run('umount', ['--lazy', path]);
    },
  };
}

/** @param {string} file */
function fillUp(file) {
  const handle = openSync(file, 'w');
  try {
    for (let bytes = 1024 * 1024; bytes >= 1024;) {
      try {
        writeSync(handle, Buffer.alloc(bytes, 1));
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
        bytes /= 4;
      }
    }
  } finally {
    closeSync(handle);
  }
}

/** What a process writes to files fails, by RLIMIT_FSIZE; Node ignores the signal. @param {string} path @returns {Promise<JournalDisk | undefined>} */
async function limited(path) {
  try {
    await run('prlimit', ['--version']);
  } catch {
    return undefined;
  }
  return {
    path,
    kind: 'a limit on the size of what the gateways write (no mount is allowed here)',
    canFill: true,
    fill: (pids) => limit(pids, '0'),
    free: (pids) => limit(pids, 'unlimited'),
    close: async () => undefined,
  };
}

/** Its soft limit, which can be taken back. @param {readonly number[]} pids @param {string} size */
async function limit(pids, size) {
  for (const pid of pids) {
    // One that has ended meanwhile has no disk any more.
    await run('prlimit', [`--fsize=${size}:`, '--pid', String(pid)]).catch(() => undefined);
  }
}

/** @param {string} path @returns {JournalDisk} */
function plain(path) {
  return {
    path,
    kind: 'NEVER FULL: neither mount nor prlimit can be had here',
    canFill: false,
    fill: async () => undefined,
    free: async () => undefined,
    close: async () => undefined,
  };
}
