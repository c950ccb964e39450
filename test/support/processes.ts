import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { eventually } from './eventually.js';

const root = join(import.meta.dirname, '../..');
/** Says only that it will not come any more: a start takes a second or two, and many times that beside other tests. */
const startTimeoutMs = 120_000;

export interface StartOptions {
  args?: readonly string[];
  input?: string;
  /** Descriptors that it may have. */
  maxFiles?: number;
  /** Gives it an IPC channel, on which it says this. */
  onMessage?: (message: unknown) => void;
}

/** One built app as a real process, with all that it wrote. */
export class AppProcess {
  /** Later than `exit`, at which some of the output may still be on its way. */
  private readonly closed: Promise<unknown>;

  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
    private readonly output: string[],
  ) {
    this.closed = once(child, 'close');
  }

  /** @param entry path below dist/, such as `apps/gateway/src/main.js`; or an absolute one, of another build */
  static start(
    name: string,
    entry: string,
    env: Record<string, string>,
    { args = [], input = '', maxFiles, onMessage }: StartOptions = {},
  ): AppProcess {
    // Without `--enable-source-maps`, which `npm start` has: reading the maps of all modules is a fifth of a start.
    const command = [process.execPath, resolve(root, 'dist', entry), ...args];
    const limit = ['sh', '-c', `ulimit -n ${maxFiles} && exec "$0" "$@"`];
    const [program = '', ...rest] = maxFiles === undefined ? command : [...limit, ...command];
    const child = spawn(program, rest, {
      cwd: root,
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['pipe', 'pipe', 'pipe', ...(onMessage ? ['ipc' as const] : [])],
    });
    child.stdin?.end(input);
    return AppProcess.attach(name, child, onMessage);
  }

  /** One that runs already, without what it has written until now. */
  static attach(name: string, child: ChildProcess, onMessage?: (message: unknown) => void): AppProcess {
    child.ref();
    child.channel?.ref();
    for (const pipe of pipesOf(child)) pipe.ref();
    if (onMessage) child.on('message', onMessage);
    const output: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => output.push(text));
    }
    return new AppProcess(name, child, output);
  }

  /** Leaves it running, for `attach` in another spec file; this process can end without it. */
  detach(): ChildProcess {
    for (const event of ['message', 'close', 'error']) this.child.removeAllListeners(event);
    // What it writes is not kept, and never fills the pipe.
    for (const pipe of pipesOf(this.child)) pipe.removeAllListeners('data').resume().unref();
    this.child.channel?.unref();
    this.child.unref();
    return this.child;
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** All that it wrote to standard output and standard error. */
  log(): string {
    return this.output.join('');
  }

  /** Polls until `url` answers 200; fails at once, with the log, when the process ends before. */
  async ready(url: string): Promise<void> {
    await eventually(
      async () => {
        if (this.hasEnded()) return;
        const { status } = await fetch(url);
        if (status !== 200) throw new Error(`${this.name} is not ready:\n${this.log()}`);
      },
      { timeoutMs: startTimeoutMs, everyMs: 100 },
    );
    if (this.hasEnded()) throw new Error(`${this.name} ended at its start:\n${this.log()}`);
  }

  /** @returns its exit code, once it has ended by itself and its last output has been read */
  async end(): Promise<number | null> {
    await this.closed;
    return this.child.exitCode;
  }

  /** To one with `onMessage`. */
  send(message: object): void {
    // To one that has ended it is not said; `end` tells.
    this.child.send(message, () => undefined);
  }

  /** Ends it with a signal: SIGTERM for good order, SIGKILL for a crash. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.hasEnded()) this.child.kill(signal);
    return this.end();
  }

  /** One signal, as a person sends it; it may not end the process. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }
}

function pipesOf({ stdout, stderr }: ChildProcess): Socket[] {
  return [stdout, stderr].filter((pipe) => pipe instanceof Socket);
}
