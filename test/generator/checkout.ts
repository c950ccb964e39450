import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../support/broker.js';
import { copyRepository } from '../support/copy-repository.mjs';
import { eventually } from '../support/eventually.js';

const START_TIMEOUT_MS = 120_000;
const NEEDED = [
  'package.json',
  'nest-cli.json',
  'docker-compose.yml',
  'README.md',
  '.prettierrc.json',
  'scripts',
  'tools',
  'examples',
  'libs/events/src',
  'apps/gateway/src/main.ts',
];

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** What building, starting and testing need, too. */
const EVERYTHING = (
  'package.json package-lock.json nest-cli.json tsconfig.json tsconfig.build.json .swcrc docker-compose.yml README.md ' +
  '.prettierrc.json .oxlintrc.json jest.config.js apps bench examples libs scripts tools test/runner test/support'
).split(' ');

/** A copy of what the commands for consumers need of this repository, in a temporary folder. */
export class Checkout {
  readonly path: string;

  constructor(needed: readonly string[] = NEEDED) {
    this.path = copyRepository(needed);
  }

  /** `npm run new:consumer -- …`, without npm. */
  command(script: 'new-consumer' | 'remove-consumer', ...args: string[]): Promise<Ended> {
    return this.run(process.execPath, join(this.path, `scripts/${script}.mjs`), ...args);
  }

  /** In its folder. */
  run(command: string, ...args: string[]): Promise<Ended> {
    return new Promise((resolve) => {
      execFile(command, args, { cwd: this.path }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });
  }

  read(file: string): string {
    return readFileSync(join(this.path, file), 'utf8');
  }

  /** Every file with the hash of its content, and every folder. */
  contents(): Record<string, string> {
    const names = readdirSync(this.path, { recursive: true, encoding: 'utf8' });
    const own = names.filter((name) => !/^(node_modules|\.git)\b/.test(name));
    return Object.fromEntries(own.toSorted().map((name) => [name, this.hashOf(name)]));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  private hashOf(name: string): string {
    const path = join(this.path, name);
    const found = lstatSync(path);
    if (found.isSymbolicLink()) return `link to ${readlinkSync(path)}`;
    return found.isDirectory() ? 'folder' : createHash('sha256').update(readFileSync(path)).digest('hex');
  }
}

/** A checkout with a system of its own, that `npm start` or `npm run dev` runs there. */
export class RunnableCheckout extends Checkout {
  private readonly dataDir = join(this.path, 'data');
  private readonly running: RunningCommand[] = [];
  private simulatorPort = 0;
  private env: Record<string, string> = {};

  constructor() {
    super(EVERYTHING);
  }

  async choosePorts(): Promise<void> {
    const [port, opsPort, simulatorPort] = [await freePort(), await freePort(), await freePort()];
    this.simulatorPort = simulatorPort;
    const ports = { PORT: String(port), OPS_PORT: String(opsPort), SIMULATOR_PORT: String(simulatorPort) };
    this.env = { DATA_DIR: this.dataDir, DATABASE_URL: '', AMQP_URL: '', ...ports };
    mkdirSync(this.dataDir, { mode: 0o700 });
  }

  /** Goes on until it is stopped, at the latest by `end`. */
  start(command: string, ...args: string[]): RunningCommand {
    const started = new RunningCommand(this.path, this.env, command, args);
    this.running.push(started);
    return started;
  }

  /** Runs a script of sh that ends, in a terminal that knows where the data are, and no port. */
  async inNewTerminal(script: string): Promise<{ code: number | null; screen: string }> {
    const { DATA_DIR = '', DATABASE_URL = '', AMQP_URL = '' } = this.env;
    const env = { DATA_DIR, DATABASE_URL, AMQP_URL, OPS_PORT: '', OPS_TOKEN: '' };
    const command = new RunningCommand(this.path, env, 'sh', ['-ec', script]);
    this.running.push(command);
    return { code: await command.ended(), screen: command.screen() };
  }

  /** What `npm start` and the consumers have logged. */
  log(): string {
    return readFileSync(join(this.dataDir, 'relay.log'), 'utf8');
  }

  /** As a user of the simulated portal would. */
  async addItem(entityTypeId: number, fields: Record<string, string>): Promise<void> {
    const url = `http://127.0.0.1:${this.simulatorPort}/portals/demo/rest/1/demo/crm.item.add`;
    const named = Object.entries(fields).map(([name, value]) => [`fields[${name}]`, value]);
    const body = new URLSearchParams([['entityTypeId', String(entityTypeId)], ...named]);
    const { ok, status } = await fetch(url, { method: 'POST', body });
    if (!ok) throw new Error(`the simulated portal answers ${status}`);
  }

  /** As an administrator of the simulated portal would. */
  async addUserField(entityTypeId: number, field: Record<string, string>): Promise<void> {
    const url = `http://127.0.0.1:${this.simulatorPort}/_sim/portals/demo/types/${entityTypeId}/fields`;
    const headers = { 'content-type': 'application/json' };
    const { ok, status } = await fetch(url, { method: 'POST', headers, body: JSON.stringify([field]) });
    if (!ok) throw new Error(`the simulated portal answers ${status}`);
  }

  /** Stops what runs, and removes everything. */
  async end(): Promise<void> {
    for (const command of this.running.toReversed()) await command.stop();
    try {
      rmSync(readlinkSync(join(this.dataDir, 'postgres')), { recursive: true, force: true });
    } catch {
      // Everything is inside.
    }
    this.remove();
  }
}

/** A command in a checkout, and what it shows. */
export class RunningCommand {
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown>;
  private output = '';

  constructor(cwd: string, env: Record<string, string>, command: string, args: readonly string[]) {
    this.child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      // A group of its own, as in a terminal.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.closed = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
  }

  screen(): string {
    return this.output;
  }

  /** The lines of `npm run dev` itself, without their times. */
  linesOfDev(): string[] {
    return [...this.output.matchAll(/^\d\d:\d\d:\d\d {2}(.*)$/gm)].map(([, line = '']) => line);
  }

  /** @param after only what is shown from this length of the screen on */
  async shows(text: string | RegExp, after = 0): Promise<void> {
    await eventually(
      () => {
        const shown = this.output.slice(after);
        if (typeof text === 'string' ? shown.includes(text) : text.test(shown)) return;
        throw new Error(`It does not show ${String(text)} but\n${this.output}`);
      },
      { timeoutMs: START_TIMEOUT_MS },
    );
  }

  /** Resolves with its exit code when it ends by itself. */
  async ended(): Promise<number | null> {
    await this.closed;
    return this.child.exitCode;
  }

  /** What Ctrl-C does: every process of the group gets the signal. */
  async stop(): Promise<void> {
    const { pid, exitCode, signalCode } = this.child;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGINT');
    await this.closed;
  }
}
