/**
 * The moment at which new rows of `bus.messages` become due, as a table `stamp (at)` for a WITH clause. A transaction
 * that is stamped has its id already: the filter is evaluated before the column. `FetchCursors` relies on this order,
 * or it could skip a row that is committed late.
 */
export const STAMP_CTE =
  'stamp AS MATERIALIZED (SELECT clock_timestamp() AS at WHERE pg_current_xact_id() IS NOT NULL)';

/** What a fetch knows of the transactions beside it. */
export interface FetchSnapshot {
  /** Start of its transaction, in microseconds since the epoch. */
  at: number;
  /** `pg_snapshot_xmin`: all transactions below this id have ended, and the fetch has seen what they wrote. */
  xmin: number;
  /**
   * The fetch's own id, given after `at`: transactions with a higher one have stamped nothing before. Undefined when it
   * wrote nothing, and was not to get one. (`pg_snapshot_xmax` is not as good: it is no higher than the last transaction that has ended.)
   */
  xid: number | undefined;
}

interface WritingFetch {
  at: number;
  xid: number;
  /** When it was noted, by this process's clock. */
  sinceMs: number;
}

/** A transaction that writes for longer than this is not waited for: a publish is ended by its timeout long before. */
const MAX_WRITE_MS = 60_000;

/**
 * Where the next fetch of each shard begins to read: the `available_at` below which every row has been taken. Rows that
 * are taken stay in the index for as long as any transaction might see them; a fetch that began at the oldest would read
 * all of them again.
 *
 * Rows are stamped in one order and committed in another, so a cursor waits for the transactions that were running: it
 * moves to the time of an earlier fetch when all that wrote during that one have ended. A transaction has its id before
 * it stamps its rows ({@link STAMP_CTE}), so those that come later carry later stamps.
 */
export class FetchCursors {
  private readonly byShard = new Map<number, number>();
  /** Every transaction that stamped a row before this time has ended. */
  private horizon = 0;
  private lastAt = 0;
  private next: WritingFetch | undefined;
  /** The last one: when only polls are left, no later fetch moves the cursors past what it fetched. */
  private last: WritingFetch | undefined;

  constructor(private readonly nowMs: () => number = () => performance.now()) {}

  /** In microseconds since the epoch; 0: from the oldest row. */
  of(shard: number): number {
    return this.byShard.get(shard) ?? 0;
  }

  /** Whether the next fetch is to get an id even if it writes nothing: with only polls after a start, no cursor would ever move. */
  get needsId(): boolean {
    return this.horizon === 0 && this.next === undefined;
  }

  /** The next fetch reads the shard from its oldest row. */
  reset(shard: number): void {
    this.byShard.delete(shard);
  }

  /**
   * Notes one fetch.
   * @param reached per shard that was read: undefined when all due rows were taken, else the `available_at` of the last
   */
  advance({ at, xmin, xid }: FetchSnapshot, reached: ReadonlyMap<number, number | undefined>): void {
    const isSetBack = at < this.lastAt;
    this.lastAt = at;
    if (isSetBack) {
      // The clock of the server: rows that this fetch has not read may carry stamps that lie behind the cursors.
      this.byShard.clear();
      this.horizon = 0;
      this.next = undefined;
      this.last = undefined;
      return;
    }
    this.observe({ at, xmin, xid });
    for (const [shard, last = at] of reached) {
      this.byShard.set(shard, Math.max(this.of(shard), Math.min(last, this.horizon)));
    }
  }

  private observe({ at, xmin, xid }: FetchSnapshot): void {
    const sinceMs = this.nowMs();
    if (this.next && (xmin >= this.next.xid || sinceMs - this.next.sinceMs > MAX_WRITE_MS)) {
      this.horizon = this.next.at;
      this.next = this.last === this.next ? undefined : this.last;
    }
    if (xid === undefined) return;
    this.last = { at, xid, sinceMs };
    this.next ??= this.last;
  }
}
