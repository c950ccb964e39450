import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const answer = z.object({
  id: z.number(),
  ok: z.boolean(),
  code: z.string().optional(),
  message: z.string().optional(),
});
export type Answer = z.output<typeof answer>;

export type Order = { what: 'call' } | { what: 'install' | 'reauthorize'; refreshToken: string };

export interface WorkerOptions {
  databaseUrl: string;
  oauth: { urls: string[]; clientId: string; clientSecret: string };
  allowHosts: string[];
  /** base64 */
  key: string;
  memberId: string;
  timings: object;
}

/** A process of `refresh-worker.mjs`, to give orders to, to kill and to freeze. */
export class RefreshWorker {
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private readonly lines: string[] = [];
  private orders = 0;

  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.hear(line));
    if (child.stderr) createInterface(child.stderr).on('line', (line) => this.lines.push(line));
    // Orders to a process that was killed have no answer; its end is what settles them.
    child.stdin?.on('error', () => undefined);
    child.on('exit', () => {
      for (const [id, settle] of this.waiting) settle({ id, ok: false, code: 'PROCESS_ENDED' });
      this.waiting.clear();
    });
  }

  /** Resolves when it takes orders. */
  static async start(name: string, options: WorkerOptions): Promise<RefreshWorker> {
    const script = join(import.meta.dirname, 'refresh-worker.mjs');
    // Its own address of the OAuth server, so that the one there knows who asks.
    const urls = options.oauth.urls.map((url) => `${url}/${name}`);
    const oauth = { ...options.oauth, urls };
    const child = spawn(process.execPath, [script], {
      env: { PATH: process.env['PATH'], REFRESH_WORKER: JSON.stringify({ ...options, name, oauth }) },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const worker = new RefreshWorker(name, child);
    const { ok } = await new Promise<Answer>((resolve) => worker.waiting.set(0, resolve));
    if (!ok) throw new Error(`${name} ended at its start:\n${worker.log()}`);
    return worker;
  }

  /** What it wrote beside its answers. */
  log(): string {
    return this.lines.join('\n');
  }

  /** Never rejects: `PROCESS_ENDED` when it ends before it answers. */
  order(order: Order): Promise<Answer> {
    const id = ++this.orders;
    return new Promise((resolve) => {
      if (this.hasEnded()) resolve({ id, ok: false, code: 'PROCESS_ENDED' });
      this.waiting.set(id, resolve);
      this.child.stdin?.write(`${JSON.stringify({ id, ...order })}\n`);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** @returns its exit code; null when a signal ended it */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.hasEnded()) {
      const exit = once(this.child, 'exit');
      this.child.kill(signal);
      await exit;
    }
    return this.child.exitCode;
  }

  private hear(line: string): void {
    const parsed = answer.safeParse(parseJson(line));
    if (!parsed.success) {
      this.lines.push(line);
      return;
    }
    this.waiting.get(parsed.data.id)?.(parsed.data);
    this.waiting.delete(parsed.data.id);
  }

  private hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
