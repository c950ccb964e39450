import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './broker.js';
import { eventually } from './eventually.js';

/** Says only that it will not come any more. */
const startTimeoutMs = 120_000;
const entry = join(import.meta.dirname, '../../dist/apps/standalone/src/main.js');

/** One installation of `npm start`: a data folder and ports of its own, started as often as a test wants. */
export class Installation {
  private readonly runs: Run[] = [];

  private constructor(
    /** Of mode 0700, as `mktemp -d` makes it. */
    private readonly parent: string,
    readonly env: Record<string, string>,
  ) {}

  static async create(): Promise<Installation> {
    const parent = mkdtempSync(join(tmpdir(), 'relay-standalone-'));
    const [port, opsPort, simulatorPort] = [await freePort(), await freePort(), await freePort()];
    return new Installation(parent, {
      DATA_DIR: join(parent, 'data'),
      PORT: String(port),
      OPS_PORT: String(opsPort),
      SIMULATOR_PORT: String(simulatorPort),
    });
  }

  path(...names: string[]): string {
    return join(this.parent, 'data', ...names);
  }

  start(env: Record<string, string> = {}): Run {
    const run = new Run({ ...this.env, ...env });
    this.runs.push(run);
    return run;
  }

  postgresPid(): number {
    return Number(readFileSync(this.path('postgres', 'data', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
  }

  async remove(): Promise<void> {
    await Promise.all(this.runs.map((run) => run.stop()));
    try {
      rmSync(readlinkSync(this.path('postgres')), { recursive: true, force: true });
    } catch {
      // Everything is inside.
    }
    rmSync(this.parent, { recursive: true, force: true });
  }
}

/** One `npm start`, without npm. */
export class Run {
  private readonly child: ChildProcess;
  /** Later than `exit`, at which some of the output may still be on its way. */
  private readonly closed: Promise<unknown>;
  private readonly output: string[] = [];

  constructor(env: Record<string, string>) {
    this.child = spawn(process.execPath, ['--enable-source-maps', entry], {
      cwd: '/',
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.closed = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.output.push(text));
    }
  }

  /** All that it wrote for people to read. */
  screen(): string {
    return this.output.join('');
  }

  async shows(text: string): Promise<void> {
    await eventually(
      () => {
        if (this.hasEnded() && !this.screen().includes(text)) return;
        if (!this.screen().includes(text))
          throw new Error(`It does not show "${text}" but\n${this.screen()}`);
      },
      { timeoutMs: startTimeoutMs },
    );
    if (!this.screen().includes(text)) throw new Error(`It ended and showed\n${this.screen()}`);
  }

  async ready(): Promise<void> {
    await this.shows('What happens from now on');
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** @returns its exit code, once it has ended by itself and its last output has been read */
  async end(): Promise<number | null> {
    await this.closed;
    return this.child.exitCode;
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    if (!this.hasEnded()) this.child.kill(signal);
    return this.end();
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
