import { TestEnvironment } from 'jest-environment-node';

/**
 * What the spec files that run in one worker process of Jest hand on to each other (test/support/app-host.ts and
 * command-host.ts).
 * @type {Record<'parkedAppHosts' | 'idleCommandHosts', import('node:child_process').ChildProcess[]>}
 */
const handedOn = { parkedAppHosts: [], idleCommandHosts: [] };

/** Jest's own environment for Node. */
export default class Environment extends TestEnvironment {
  /** @override */
  async setup() {
    await super.setup();
    Object.assign(this.global, handedOn);
  }
}
