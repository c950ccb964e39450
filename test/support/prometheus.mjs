/** Prometheus and promtool for the tests of deploy/prometheus: finds them, gets them from Debian, starts a server. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.mjs';

/** Unpacked here, not installed: Debian's package would start a server of its own. */
const cache = join(import.meta.dirname, '../../node_modules/.cache/prometheus');
/** Of one command of apt: a mirror may not answer. */
const aptTimeoutMs = 60_000;
const places = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', join(cache, 'usr/bin')];

/** @returns {string | undefined} the folder that has both programs; undefined: the run says `Prometheus: NOT TESTED` */
export function findPrometheus() {
  return places.find((folder) =>
    ['prometheus', 'promtool'].every((program) => existsSync(join(folder, program))),
  );
}

/** Where apt is: downloads and unpacks, which needs no right but to write into the cache. @returns {boolean} whether it is there */
export function getPrometheus() {
  if (findPrometheus() !== undefined) return true;
  mkdirSync(cache, { recursive: true });
  // Without lists of packages there is nothing to download; root can have them.
  for (const update of process.getuid?.() === 0 ? [false, true] : [false]) {
    try {
      if (update) execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore', timeout: aptTimeoutMs });
      execFileSync('apt-get', ['download', '-qq', 'prometheus'], {
        cwd: cache,
        stdio: 'ignore',
        timeout: aptTimeoutMs,
      });
      const archive = readdirSync(cache).find((name) => name.endsWith('.deb'));
      if (archive === undefined) continue;
      execFileSync('dpkg-deb', ['-x', archive, '.'], { cwd: cache, stdio: 'ignore' });
      rmSync(join(cache, archive));
      return findPrometheus() !== undefined;
    } catch {
      // No apt here, no package, or no lists yet.
    }
  }
  return false;
}

/**
 * @typedef {object} PrometheusServer
 * @property {string} url
 * @property {() => Promise<void>} stop
 */

/**
 * Starts a server on loopback with data of its own; resolves when it answers.
 * @param {string} config the file
 * @returns {Promise<PrometheusServer>}
 */
export async function startPrometheus(config) {
  const folder = findPrometheus();
  if (folder === undefined) throw new Error('there is no Prometheus: apt-get install prometheus');
  const data = mkdtempSync(join(tmpdir(), 'relay-prometheus-'));
  const url = `http://127.0.0.1:${await freePort()}`;
  const child = spawn(
    join(folder, 'prometheus'),
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${data}`,
      `--web.listen-address=${new URL(url).host}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk) => (said += String(chunk)));
  const ended = once(child, 'exit');
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill();
    await ended;
    rmSync(data, { recursive: true, force: true });
  };
  const deadline = Date.now() + 60_000;
  for (;;) {
    const isReady = await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return { url, stop };
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`Prometheus did not start:\n${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
