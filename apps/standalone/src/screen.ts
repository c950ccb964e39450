import { printable } from '@relay/platform';
import { relative } from 'node:path';
import type { ResourceStack } from './resource-stack.js';

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

  /** What keeps coming is said again after a minute, and what comes of ending not at all. */
  problem(text: string): void {
    const now = performance.now();
    if (this.parts.isClosing || now - (this.toldAt.get(text) ?? -Infinity) < REPEAT_AFTER_MS) return;
    this.toldAt.set(text, now);
    this.line(`! ${printable(text)}`);
  }
}

/** As somebody in the working folder would type it. */
export function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
