/** The system that the demo plays on: the one that runs, or one that is started for it and ended after it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { DemoFailure, SystemGone } from './failure.mjs';
import { duration } from './screen.mjs';
import { poll } from './wait.mjs';

const entry = 'dist/apps/standalone/src/main.js';
const startTimeoutMs = 90_000;
const installTimeoutMs = 30_000;
const stopTimeoutMs = 20_000;
const endTimeoutMs = 10_000;

/** Without all of them a part of the demo would wait in vain. */
const neededEvents = [
  'ONCRMCONTACTADD',
  'ONCRMCONTACTUPDATE',
  'ONCRMDYNAMICITEMADD',
  'ONCRMDYNAMICITEMUPDATE',
  'ONCRMDYNAMICITEMDELETE',
];

/** `npm start`'s process as our child. */
export class OwnSystem {
  #child;
  /** What it said of trouble: on standard error of its end, on standard output of what it goes on with. */
  #last = { error: '', problem: '' };

  constructor() {
    const preload = pathToFileURL(join(import.meta.dirname, 'end-with-parent.mjs')).href;
    // In a group of its own: at Ctrl-C the terminal signals this process alone, which ends that one in good order.
    this.#child = spawn(process.execPath, ['--enable-source-maps', '--import', preload, entry], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
      windowsHide: true,
    });
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) return;
    createInterface(stdout).on('line', (line) => {
      if (line.startsWith('! ')) this.#last.problem = line.slice(2);
    });
    createInterface(stderr).on('line', (line) => {
      if (/^b24-relay: |Error: /.test(line)) this.#last.error = line.replace('b24-relay: ', '');
    });
  }

  /** Why it has ended; undefined as long as it runs. */
  get lastOutput() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) return undefined;
    return this.#last.error || this.#last.problem || 'it did not say why.';
  }

  /** After its simulator has gone: it may still be closing its database. @returns {Promise<void>} when it has ended, or soon */
  async ending() {
    if (this.lastOutput === undefined) await Promise.race([once(this.#child, 'close'), pause(endTimeoutMs)]);
  }

  async stop() {
    if (this.lastOutput !== undefined) return;
    const ended = once(this.#child, 'exit');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), stopTimeoutMs);
    this.#child.kill('SIGTERM');
    await ended;
    clearTimeout(late);
  }
}

/** @param {AbortSignal} signal @throws DemoFailure when the packages or the build cannot be had; npm's own words are on the screen then */
export async function prepare(signal) {
  const script = 'scripts/prepare.mjs';
  if (!existsSync(script)) return;
  const child = spawn(process.execPath, [script], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
    windowsHide: true,
  });
  // With npm, which it waits for.
  const stop = () => void (child.pid && process.kill(-child.pid, 'SIGTERM'));
  signal.addEventListener('abort', stop);
  await once(child, 'exit');
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (child.exitCode !== 0)
    throw new DemoFailure('What the demo needs could not be installed or built; see above.');
}

/** @param {import('./simulator.mjs').Simulator} simulator @param {OwnSystem} system */
export async function waitUntilUp(simulator, system) {
  const isUp = async () => {
    if (system.lastOutput !== undefined) throw endedByItself(system.lastOutput);
    return simulator.look();
  };
  const { signal } = simulator;
  if (await poll(isUp, { everyMs: 100, timeoutMs: startTimeoutMs, signal })) return;
  throw new DemoFailure(
    `What was started does not answer at ${simulator.url} after ${duration(startTimeoutMs)}.`,
  );
}

/** @param {string} lastOutput */
export function endedByItself(lastOutput) {
  return new DemoFailure(`What the demo started has ended: ${lastOutput}`);
}

/** Resolves when the portal sends everything that the demo shows. @param {import('./simulator.mjs').Simulator} simulator */
export async function waitUntilInstalled(simulator) {
  /** @type {string[]} */
  let missing = neededEvents;
  const isInstalled = async () => {
    const found = await simulator.look();
    if (!found) throw new SystemGone(`The simulator at ${simulator.url} has ended.`);
    if (found.status !== 200)
      throw new DemoFailure(`There is no portal demo at ${simulator.url}: is it the simulator?`);
    const ready = await simulator.look('/health/ready');
    const { handlers } = await simulator.portal();
    missing = neededEvents.filter(
      (name) => !handlers.some(({ event }) => event === name || event.startsWith(`${name}_`)),
    );
    return (ready?.status === 200 && missing.length === 0) || undefined;
  };
  const { signal } = simulator;
  if (await poll(isInstalled, { everyMs: 100, timeoutMs: installTimeoutMs, signal })) return;
  throw new DemoFailure(
    missing.length === neededEvents.length
      ? 'The app is not installed in the portal demo: does the gateway run, and is it the one that the simulator knows?'
      : `The portal demo does not send ${missing.join(', ') || 'its events'}: do all consumers run?`,
  );
}
