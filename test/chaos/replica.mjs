/** One process of the system under test, which is killed, frozen, and restarted as a supervisor would do. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';

const root = join(import.meta.dirname, '../..');
const endWithParent = pathToFileURL(join(root, 'scripts/demo/end-with-parent.mjs')).href;
const pollEveryMs = 200;
const lookTimeoutMs = 2_000;
const startTimeoutMs = 180_000;
const stopTimeoutMs = 75_000;
/** Delay of the supervisor before it restarts a process that has exited. */
const restartMs = 1_000;

/** @typedef {'down' | 'starting' | 'up' | 'frozen'} State */
/** @typedef {{ process: string, whileStarting: boolean, lastOutput: string }} UnaskedEnd */
/**
 * @typedef {object} ReplicaOptions
 * @property {string} name
 * @property {string} entry below the project's folder
 * @property {Record<string, string | undefined>} env
 * @property {string} opsUrl
 * @property {string} logFile
 * @property {(processName: string) => void} onEnd a process of it is gone, in whatever way
 * @property {string} startedMark what it logs when its start is over
 * @property {(end: UnaskedEnd) => void} onUnaskedEnd a process ended though nobody asked it to
 */

export class Replica {
  /** @type {State} */
  #state = 'down';
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child;
  #generation = 0;
  #hasStarted = false;
  /** @type {NodeJS.Timeout | undefined} */
  #restart;
  #isClosed = false;
  #log;
  /** @type {Partial<Pick<ReplicaOptions, 'entry' | 'env'>>} */
  #version = {};
  /** @type {string | undefined} */
  #runs;

  /** @param {ReplicaOptions} options */
  constructor(options) {
    this.options = options;
    this.#log = createWriteStream(options.logFile, { flags: 'a' });
  }

  get name() {
    return this.options.name;
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** The name of the current process. */
  get processName() {
    return `${this.name}#${this.#generation}`;
  }

  get pid() {
    return this.#child?.pid;
  }

  /** Takes effect at its next start. @param {Partial<Pick<ReplicaOptions, 'entry' | 'env'>>} version overrides */
  use(version) {
    this.#version = version;
  }

  /** The running process has the configured version. */
  get isCurrent() {
    return this.#runs === JSON.stringify(this.#version);
  }

  /** Resolves when it is ready to take work, however long its dependencies are down. */
  async start() {
    this.#launch();
    const child = this.#child;
    for (const deadline = Date.now() + startTimeoutMs; this.#state === 'starting'; await pause(pollEveryMs)) {
      if (Date.now() > deadline) throw new Error(`${this.name} does not become ready, see its log`);
      const isReady = await this.#isReady();
      if (isReady && this.#hasStarted && this.#state === 'starting' && this.#child === child)
        this.#state = 'up';
    }
  }

  /** @param {NodeJS.Signals} signal SIGKILL is a crash, SIGTERM a deployment */
  async end(signal) {
    clearTimeout(this.#restart);
    const child = this.#child;
    this.#child = undefined;
    this.#state = 'down';
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const late = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    child.kill(signal);
    await once(child, 'exit');
    clearTimeout(late);
  }

  /** @returns {boolean} false when there is nothing to freeze */
  freeze() {
    if (this.#state !== 'up') return false;
    this.#state = 'frozen';
    return this.#child?.kill('SIGSTOP') ?? false;
  }

  thaw() {
    this.#child?.kill('SIGCONT');
    if (this.#state === 'frozen') this.#state = 'up';
  }

  /** Permanently. */
  async close() {
    this.#isClosed = true;
    // A frozen process handles no other signal.
    this.#child?.kill('SIGCONT');
    await this.end('SIGTERM');
    this.#log.end();
  }

  #launch() {
    clearTimeout(this.#restart);
    this.#generation += 1;
    this.#state = 'starting';
    this.#hasStarted = false;
    const { processName } = this;
    const { entry = this.options.entry, env = {} } = this.#version;
    this.#runs = JSON.stringify(this.#version);
    const child = spawn(process.execPath, ['--enable-source-maps', '--import', endWithParent, entry], {
      cwd: root,
      env: { PATH: process.env['PATH'], ...this.options.env, ...env, LEDGER_PROCESS: processName },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C must reach only the harness, which then stops this process.
      detached: true,
    });
    this.#child = child;
    let lastOutput = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
        this.#log.write(text);
        lastOutput = text.slice(-1_000);
        if (text.includes(this.options.startedMark)) this.#hasStarted = true;
      });
    }
    child.once('exit', () => {
      this.options.onEnd(processName);
      if (this.#child === child) this.#endedByItself(processName, lastOutput);
    });
  }

  /** @param {string} process @param {string} lastOutput */
  #endedByItself(process, lastOutput) {
    this.options.onUnaskedEnd({ process, whileStarting: !this.#hasStarted, lastOutput });
    this.#child = undefined;
    this.#state = 'down';
    if (this.#isClosed) return;
    this.#restart = setTimeout(() => {
      this.start().catch((error) => this.#log.write(`${error}\n`));
    }, restartMs);
  }

  async #isReady() {
    try {
      const { status } = await fetch(`${this.options.opsUrl}/health/ready`, {
        signal: AbortSignal.timeout(lookTimeoutMs),
      });
      return status === 200;
    } catch {
      return false;
    }
  }
}
