import type { Log } from './logger.js';

const WINDOW_MS = 10_000;
const LINES_A_WINDOW = 5;
/** The kinds are few constants; the limit bounds the map in case one contains foreign text. */
const MAX_KINDS = 500;

interface Kind {
  lines: number;
  leftOut: number;
}

/**
 * Limits log lines that strangers can cause: a few in each interval are logged, the others counted. A flood must not
 * fill the disk, nor hide the rest of the log.
 */
export class LogSample {
  private readonly kinds = new Map<string, Kind>();

  constructor(private readonly log: Log) {}

  /**
   * @param kind lines of one kind are counted together
   * @param write writes the line; not called for omitted lines
   */
  add(kind: string, write: () => void): void {
    const known = this.kinds.get(kind) ?? this.begin(kind);
    if (known.lines >= LINES_A_WINDOW) {
      known.leftOut += 1;
      return;
    }
    known.lines += 1;
    write();
  }

  private begin(kind: string): Kind {
    const begun: Kind = { lines: 0, leftOut: 0 };
    if (this.kinds.size >= MAX_KINDS) return begun;
    this.kinds.set(kind, begun);
    setTimeout(() => {
      this.kinds.delete(kind);
      if (begun.leftOut > 0)
        this.log.warn(
          { event: 'log.lines.left_out', kind, leftOut: begun.leftOut },
          'more of the same was not logged',
        );
    }, WINDOW_MS).unref();
    return begun;
  }
}
