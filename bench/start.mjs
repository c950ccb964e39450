/**
 * From `npm start`, installed and built, to the first corrected contact: with an empty data folder, and again with what
 * that start left. To be reached: 15 s.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../test/support/free-port.mjs';

const reachMs = 15_000;
/** A start that corrects nothing in this time has failed. */
const deadlineMs = 60_000;
const root = join(import.meta.dirname, '..');
const shell = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'relay-bench-'));
const env = {
  ...process.env,
  DATA_DIR: join(folder, 'data'),
  PORT: String(await freePort()),
  OPS_PORT: String(await freePort()),
  SIMULATOR_PORT: String(await freePort()),
  DATABASE_URL: '',
  AMQP_URL: '',
  B24_CLIENT_ID: '',
};

try {
  // What is to be measured is a start without installing and building.
  await shell(process.execPath, [join(root, 'scripts/prepare.mjs')]);
  const results = [await measure('first start'), await measure('second start')];
  if (results.some((ms) => ms > reachMs)) process.exitCode = 1;
} finally {
  removeOutside();
  rmSync(folder, { recursive: true, force: true });
}

/** @param {string} what */
async function measure(what) {
  const begin = performance.now();
  const npm = spawn('npm', ['start'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  try {
    const upMs = await contactIsCorrected(npm, begin);
    const ms = Math.round(performance.now() - begin);
    console.log(
      `${what}: up after ${upMs} ms, first contact corrected after ${ms} ms (reach: ${reachMs} ms)`,
    );
    return ms;
  } finally {
    interrupt(npm);
    if (npm.exitCode === null && npm.signalCode === null) await once(npm, 'exit');
  }
}

/** As Ctrl-C in a terminal: to every process of the group. @param {import('node:child_process').ChildProcess} npm */
function interrupt({ pid, exitCode, signalCode }) {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGINT');
}

/**
 * Does what the screen says.
 * @param {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, null>} npm
 * @param {number} begin
 */
async function contactIsCorrected(npm, begin) {
  let shown = '';
  let upMs = 0;
  const deadline = setTimeout(() => interrupt(npm), deadlineMs);
  // The screen ends with the process.
  for await (const text of npm.stdout.setEncoding('utf8')) {
    shown += text;
    if (shown.includes('→ John O')) {
      clearTimeout(deadline);
      return upMs;
    }
    const command = /^ *curl .*$/m.exec(shown)?.[0];
    if (upMs > 0 || command === undefined || !shown.includes('from now on')) continue;
    upMs = Math.round(performance.now() - begin);
    await shell('sh', ['-c', command]);
  }
  clearTimeout(deadline);
  throw new Error(`npm start ended, or corrected nothing in ${deadlineMs} ms:\n${shown}`);
}

/** As root, PostgreSQL's files may be elsewhere (apps/standalone/src/postgres/postgres-data-dir.ts). */
function removeOutside() {
  try {
    rmSync(readlinkSync(join(env.DATA_DIR, 'postgres')), { recursive: true, force: true });
  } catch {
    // Everything is inside.
  }
}
