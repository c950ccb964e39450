/** What the worker processes of one run of Jest share: names, each an empty folder, which only one of them can take. */
import { mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The id of the process that lives as long as the run; jest.config.js sets it. */
export const TEST_RUN = process.env['RELAY_TEST_RUN'] ?? String(process.pid);

const folder = join(tmpdir(), `relay-test-run-${TEST_RUN}`);

/** @param {'templates' | 'vhosts' | 'dropped-vhosts'} kind */
export function sharedNames(kind) {
  const names = join(folder, kind);
  const list = () => readdirSync(names);
  mkdirSync(names, { recursive: true });
  return {
    list,
    /** @param {string} name */
    add: (name) => void mkdirSync(join(names, name), { recursive: true }),
    /** @param {number} most @returns {string[]} */
    take: (most) => {
      const taken = [];
      for (const name of list()) {
        if (taken.length === most) break;
        if (isRemoved(join(names, name))) taken.push(name);
      }
      return taken;
    },
  };
}

export function forgetSharedNames() {
  rmSync(folder, { recursive: true, force: true });
}

/** @param {string} path */
function isRemoved(path) {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
