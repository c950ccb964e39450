/**
 * The disk of the gateways' journal, which can be filled: a real mount, or a size limit where mounting is not allowed.
 */
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
      // Its contents are deleted with it, and may explain why an event is missing.
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

/**
 * Makes file writes of the process fail by RLIMIT_FSIZE; Node ignores the signal.
 * @param {string} path
 * @returns {Promise<JournalDisk | undefined>}
 */
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

/** Sets the soft limit, which can be reverted. @param {readonly number[]} pids @param {string} size */
async function limit(pids, size) {
  for (const pid of pids) {
    // The process may have ended meanwhile.
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
