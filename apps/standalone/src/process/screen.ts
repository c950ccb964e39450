import { printable } from '@relay/platform';
import { relative } from 'node:path';
import { pino, type DestinationStream } from 'pino';
import { z } from 'zod';
import type { ResourceStack } from './resource-stack.js';

/** Begins a line that says what went wrong. */
export const PROBLEM_MARK = '! ';
const REPEAT_AFTER_MS = 60_000;

/** What a newcomer reads; everything else is in the log file. */
export class Screen {
  private readonly toldAt = new Map<string, number>();

  constructor(private readonly parts: ResourceStack) {}

  line(text = ''): void {
    process.stdout.write(`${text}\n`);
  }

  /** `jOHN o'NEIL → John O'Neil  (142 ms)` */
  correction(before: string, after: string, tookMs: number): void {
    this.line(`${printable(before)} → ${printable(after)}  (${tookMs} ms)`);
  }

  leftAlone(name: string): void {
    this.line(`${printable(name)} stays: it was corrected, and somebody has put it back`);
  }

  /** What keeps coming (one `kind`) is said again after a minute, and what comes of ending not at all. */
  problem(text: string, kind = text): void {
    const now = performance.now();
    if (this.parts.isClosing || now - (this.toldAt.get(kind) ?? -Infinity) < REPEAT_AFTER_MS) return;
    this.toldAt.set(kind, now);
    this.line(`${PROBLEM_MARK}${printable(text)}`);
  }
}

/** As somebody in the working folder would type it. */
export function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}

const problem = z.object({
  app: z.string(),
  msg: z.string().default('something went wrong'),
  err: z.object({ message: z.string() }).optional(),
  /** Of events that failed: the message differs from one to the next, the code does not. */
  failure: z.object({ code: z.string(), message: z.string() }).optional().catch(undefined),
  /** Nest's own lines have one. What it warns of, such as equal names in two apps, is for developers. */
  context: z.unknown().optional(),
});
const PROBLEM_LINE = /^\{"level":"(warn|error|fatal)"/;

/** All apps' JSON lines go into one file; a person sees of them what went wrong. */
export function openLogFile(path: string, screen: Screen): DestinationStream {
  const file = pino.destination({ dest: path, mode: 0o600, sync: true });
  return {
    write: (line) => {
      file.write(line);
      const level = PROBLEM_LINE.exec(line)?.[1];
      if (level === undefined) return;
      const { app, msg, err, failure, context } = problem.parse(JSON.parse(line));
      if (level === 'warn' && context !== undefined) return;
      const message = (err ?? failure)?.message;
      const text = `${app}: ${msg}`;
      screen.problem(
        message ? `${text} (${message})` : text,
        err === undefined && failure ? `${text} (${failure.code})` : undefined,
      );
    },
  };
}
