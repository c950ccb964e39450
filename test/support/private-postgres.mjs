/** A disposable PostgreSQL that can be killed and frozen: the one that `npm start` uses, from dist/. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from './free-port.mjs';

/** @param {string} path below dist/ */
const built = (path) => import(join(import.meta.dirname, '../../dist/apps/standalone/src', path));

/** Recovery, and the last of the server processes that a killed one left behind. */
const startTimeoutMs = 120_000;

/**
 * @typedef {object} PrivatePostgres
 * @property {string} url
 * @property {() => Promise<void>} kill SIGKILL of the server alone, as when memory runs out; its children notice
 * @property {() => Promise<void>} start on the same port and data; resolves when it takes connections
 * @property {() => void} freeze SIGSTOP of the server and every process of its
 * @property {() => void} thaw
 * @property {() => Promise<void>} stop ends it and removes its data
 */

/** Only where /proc says which processes are the server's. */
export const canFreezePostgres = process.platform === 'linux';

/** @returns {Promise<PrivatePostgres>} */
export async function privatePostgres() {
  const { startPostgres } = await built('postgres/server.js');
  const { preparePostgresDataDir } = await built('postgres/postgres-data-dir.js');
  const { ResourceStack } = await built('process/resource-stack.js');
  const folder = await mkdtemp(join(tmpdir(), 'relay-postgres-'));
  // As root the server runs as another user, who must reach its folder.
  await chmod(folder, 0o755);
  const parts = new ResourceStack();
  const place = preparePostgresDataDir(folder);
  const [port, password] = [await freePort(), randomBytes(16).toString('hex')];
  const options = {
    dataDir: place,
    password,
    logFile: join(folder, 'postgres.log'),
    onCrash: () => undefined,
    choosePort: async () => port,
  };

  const start = async () => {
    for (const deadline = Date.now() + startTimeoutMs; ; await pause(200)) {
      try {
        return await startPostgres(parts, options);
      } catch (error) {
        // While a backend of the killed server still holds its shared memory.
        if (Date.now() > deadline) throw error;
      }
    }
  };
  const postmaster = () =>
    Number(readFileSync(join(place.path, 'data', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
  const kill = async () => {
    const pid = postmaster();
    process.kill(pid, 'SIGKILL');
    while (isAlive(pid)) await pause(20);
  };
  const freeze = () => {
    const pid = postmaster();
    // The parent first, which then makes no more children.
    for (const each of [pid, ...childrenOf(pid)]) signal(each, 'SIGSTOP');
  };
  const thaw = () => {
    const pid = postmaster();
    for (const each of [...childrenOf(pid), pid]) signal(each, 'SIGCONT');
  };
  const stop = async () => {
    await parts.close();
    removeOutside(join(folder, 'postgres'));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    return { url: await start(), kill, start: async () => void (await start()), freeze, thaw, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** @param {number} pid @param {NodeJS.Signals} name */
function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

/** @param {number} parent */
function childrenOf(parent) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
}

/** `pid (command) state ppid …`, and the command may hold anything. @param {number} pid */
function parentOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(status.slice(status.lastIndexOf(')') + 1).split(' ')[2]);
  } catch {
    return undefined;
  }
}

/** As root its files may be elsewhere. @param {string} place */
function removeOutside(place) {
  try {
    rmSync(readlinkSync(place), { recursive: true, force: true });
  } catch {
    // Everything is inside.
  }
}
