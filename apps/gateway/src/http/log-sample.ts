import type { Log } from '@relay/platform';

const WINDOW_MS = 10_000;
const LINES_A_WINDOW = 5;
/** Kinds are few, since they are ours; should one hold foreign text after all, the map must not grow by it. */
const MAX_KINDS = 500;

interface Kind {
  lines: number;
  leftOut: number;
}

/**
 * What strangers can cause any number of times is logged a few times in each while, and counted: a flood must not fill the
 * disk, nor hide the rest of the log.
 */
export class LogSample {
  private readonly kinds = new Map<string, Kind>();

  constructor(private readonly log: Log) {}

  /**
   * @param kind lines of one kind are counted together
   * @param write writes the line; not called for those that are left out
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
        this.log.warn({ kind, leftOut: begun.leftOut }, 'more of the same was not logged');
    }, WINDOW_MS).unref();
    return begun;
  }
}
