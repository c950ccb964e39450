import { ModernFakeTimers } from '@jest/fake-timers';
import { ModuleMocker } from 'jest-mock';

/** Jest's option `testEnvironment`: Node's own globals instead of a context of `node:vm` for each spec file. */
export default class Environment {
  /** What Jest sets for one spec file (`console`, `process.exit`) stays off the globals, which all spec files share. */
  global = Object.create(globalThis, { process: { value: undefined } });
  moduleMocker = new ModuleMocker(globalThis);
  /** The legacy ones. */
  fakeTimers = null;
  /** @type {ModernFakeTimers} */
  fakeTimersModern;

  /** @param {import('@jest/environment').JestEnvironmentConfig} config */
  constructor({ projectConfig }) {
    this.fakeTimersModern = new ModernFakeTimers({ config: projectConfig, global: globalThis });
    // What spec files of one worker process hand on to each other (test/support/app-host.ts and command-host.ts).
    globalThis.parkedAppHosts ??= [];
    globalThis.idleCommandHosts ??= [];
  }

  async setup() {}

  async teardown() {
    this.fakeTimersModern.dispose();
    this.moduleMocker.restoreAllMocks();
  }

  exportConditions() {
    return ['node', 'node-addons'];
  }

  getVmContext() {
    return null;
  }
}
