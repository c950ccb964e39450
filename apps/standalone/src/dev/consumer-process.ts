import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { printable } from '@relay/platform';
import { z } from 'zod';
import { BATCH_MARK } from './batch-lines.js';

const HOOK = join(import.meta.dirname, 'show-batches.js');
const APPS = join(import.meta.dirname, '../../..');
const logLine = z.looseObject({
  level: z.string(),
  msg: z.string().default(''),
  err: z.looseObject({ message: z.string() }).optional(),
  context: z.unknown().optional(),
  /** Of lines that the consumer's own code has written. */
  component: z.string().optional(),
});
/** Stands in every line, or says nothing to the one who watches. */
const UNSHOWN = new Set(['level', 'time', 'app', 'msg', 'err', 'context', 'opsPort', 'consumer', 'names']);

/** Of what Node writes when a module throws: empty lines, its version, markers, and the frames outside of apps. */
const NOISE = /^\s*\^*$|^Node\.js v|^\S+\.ts:\d+$|^\s+at (?!.*\/apps\/)/;

interface ConsumerProcessOptions {
  app: string;
  env: Record<string, string>;
  /** Gets every line of its log. */
  logFile: string;
  say: (line: string) => void;
}

/** One process of the consumer that is developed. Its log goes to the file, and in short to the screen. */
export class ConsumerProcess {
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown>;
  private isStopping = false;

  constructor(private readonly options: ConsumerProcessOptions) {
    const { app, env } = options;
    const main = join(APPS, app, 'src/main.js');
    this.child = spawn(process.execPath, ['--enable-source-maps', '--import', HOOK, main], {
      env: { ...process.env, ...env },
      // A Ctrl-C reaches the group of the terminal: this one is ended by us, and in order.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.closed = once(this.child, 'close');
    this.readLines();
    this.child.once('exit', (code, signal) => {
      if (!this.isStopping)
        options.say(`${app} has ended (${signal ?? `code ${code}`}); it starts again at the next change`);
    });
  }

  /** After the batches in flight. */
  async stop(): Promise<void> {
    this.isStopping = true;
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM');
    await this.closed;
  }

  private readLines(): void {
    const { say, logFile } = this.options;
    const { stdout, stderr } = this.child;
    if (!stdout || !stderr) return;
    createInterface(stdout).on('line', (line) => {
      if (line.startsWith(BATCH_MARK)) {
        say(printable(line.slice(BATCH_MARK.length)));
        return;
      }
      appendFileSync(logFile, `${line}\n`);
      const text = this.shortOf(line);
      if (text !== undefined) say(text);
    });
    // Of a stack, only what is in our sources says where.
    createInterface(stderr).on('line', (line) => {
      if (!NOISE.test(line)) say(printable(line));
    });
  }

  /**
   * A line of the log for a person: `a batch failed  of=1 failure=…`; undefined for what is for the file alone, such as what the
   * libs say of their work.
   */
  private shortOf(line: string): string | undefined {
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      return printable(line);
    }
    const parsed = logLine.safeParse(json);
    if (!parsed.success || parsed.data.level === 'debug') return undefined;
    const { level, msg, err, context, component, ...fields } = parsed.data;
    if (context !== undefined && level !== 'error') return undefined;
    if (level === 'info' && component === undefined && msg !== `${this.options.app} takes events`)
      return undefined;
    const shown = Object.entries(fields).filter(([name]) => !UNSHOWN.has(name));
    const mark = level === 'info' ? '' : '! ';
    const more = shown.map(
      ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
    return printable(`${mark}${msg}${err ? ` (${err.message})` : ''}${more.join('')}`);
  }
}
