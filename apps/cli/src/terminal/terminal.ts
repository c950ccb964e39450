import { age } from '@relay/admin-contract';
import { createInterface } from 'node:readline/promises';
import type { WriteStream } from 'node:tty';

/** Rows under their titles; each column is as wide as its widest cell; numbers are right-aligned. */
export function formatTable(
  titles: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const widths = titles.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => String(row[at] ?? '').length)),
  );
  const line = (row: readonly (string | number)[]): string =>
    row
      .map((cell, at) => {
        const width = widths[at] ?? 0;
        return typeof cell === 'number' || isNumeric(at) ? String(cell).padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  const isNumeric = (at: number): boolean => typeof rows[0]?.[at] === 'number';
  return [line(titles), ...rows.map(line)].join('\n');
}

/** `45 s`, `12 min`, `3 h`, `2 d`, rounded for reading; `-` without a time. */
export function formatAge(iso: string | null, now = Date.now()): string {
  return iso === null ? '-' : age(iso, now);
}

/** `in 45 s`, `in 12 min`; `now` for a time that has passed. */
export function formatUntil(iso: string, now = Date.now()): string {
  const leftMs = Date.parse(iso) - now;
  return leftMs <= 0 ? 'now' : `in ${age(new Date(now - leftMs).toISOString(), now)}`;
}

/**
 * Asks for values that must not be on a command line, where every user of the machine can read them. Piped input
 * answers line by line.
 */
export async function prompt(questions: readonly string[]): Promise<string[]> {
  const lines = createInterface({ input: process.stdin });
  const answers: string[] = [];
  try {
    const next = lines[Symbol.asyncIterator]();
    for (const question of questions) {
      if (process.stdin.isTTY) process.stderr.write(`${question}: `);
      const { value, done } = await next.next();
      answers.push(done ? '' : value.trim());
    }
  } finally {
    lines.close();
  }
  return answers;
}

const BAR_WIDTH = 30;
/** Interval without a terminal, in a log say. */
const LINE_INTERVAL_MS = 5_000;

/** A progress bar on a terminal; otherwise a line every few seconds. */
export class ProgressLine {
  private writtenAtMs = -Infinity;

  constructor(private readonly stream: Pick<WriteStream, 'write' | 'isTTY'>) {}

  /** @param part 0 to 1 */
  show(text: string, part: number): void {
    if (this.stream.isTTY) {
      this.stream.write(`\r${bar(part)} ${text}\u001b[K`);
      return;
    }
    const now = performance.now();
    if (now - this.writtenAtMs < LINE_INTERVAL_MS) return;
    this.writtenAtMs = now;
    this.stream.write(`${Math.floor(part * 100)} % ${text}\n`);
  }

  /** Clears the bar. */
  end(): void {
    if (this.stream.isTTY) this.stream.write('\r\u001b[K');
  }
}

export function bar(part: number): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * BAR_WIDTH);
  return `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)} ${String(Math.floor(part * 100)).padStart(3)} %`;
}
