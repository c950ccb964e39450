import type { WriteStream } from 'node:tty';

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
