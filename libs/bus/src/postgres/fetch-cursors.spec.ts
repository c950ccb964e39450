import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FetchCursors } from './fetch-cursors.js';

interface Row {
  shard: number;
  at: number;
  xid: number;
  isTaken: boolean;
}

/** As much of PostgreSQL as a fetch sees: a clock, transactions that end in any order, and rows in order of their stamps. */
class Database {
  readonly rows: Row[] = [];
  private readonly running: number[] = [];
  private nextXid = 1;
  private lastEnded = 0;
  private clock = 1;

  begin(): void {
    this.running.push(this.nextXid++);
  }

  /** By one of the running transactions, if there is any. */
  insert(choice: number, shard: number): void {
    const xid = this.running.at(choice % Math.max(1, this.running.length));
    if (xid !== undefined) this.rows.push({ shard, at: this.tick(), xid, isTaken: false });
  }

  commit(choice: number): void {
    const [xid = 0] = this.running.splice(choice % Math.max(1, this.running.length), 1);
    this.lastEnded = Math.max(this.lastEnded, xid);
  }

  commitAll(): void {
    while (this.running.length > 0) this.commit(0);
  }

  /** @returns how many rows were read */
  fetch(cursors: FetchCursors, limit: number, shards = [0, 1], meanwhile = (): void => undefined): number {
    const { needsId } = cursors;
    const at = this.tick();
    const xmin = Math.min(this.lastEnded + 1, ...this.running);
    const reached = new Map<number, number | undefined>();
    let read = 0;
    let hasWritten = false;
    for (const shard of shards) {
      const due = this.rows.filter(
        (row) => row.shard === shard && row.at >= cursors.of(shard) && this.isVisible(row),
      );
      read += due.length;
      hasWritten ||= due.some((row) => !row.isTaken);
      const taken = due.filter((row) => !row.isTaken).slice(0, limit);
      for (const row of taken) row.isTaken = true;
      reached.set(shard, taken.length === limit ? taken.at(-1)?.at : undefined);
    }
    meanwhile();
    const xid = hasWritten || needsId ? this.nextXid++ : undefined;
    if (xid !== undefined) this.lastEnded = Math.max(this.lastEnded, xid);
    cursors.advance({ at, xmin, xid }, reached);
    return read;
  }

  setClock(at: number): void {
    this.clock = at;
  }

  left(): Row[] {
    return this.rows.filter((row) => !row.isTaken && this.isVisible(row));
  }

  private isVisible(row: Row): boolean {
    return !this.running.includes(row.xid);
  }

  private tick(): number {
    return (this.clock += 1);
  }
}

const write = fc.oneof(
  fc.record({ do: fc.constant('begin' as const) }),
  fc.record({ do: fc.constant('insert' as const), choice: fc.nat(7), shard: fc.nat(1) }),
  fc.record({ do: fc.constant('commit' as const), choice: fc.nat(7) }),
);
const step = fc.oneof(
  { weight: 3, arbitrary: write },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('fetch' as const),
      limit: fc.integer({ min: 1, max: 4 }),
      shards: fc.subarray([0, 1]),
      // Between its snapshot and its id.
      meanwhile: fc.array(write, { maxLength: 4 }),
    }),
  },
);
type Write = typeof write extends fc.Arbitrary<infer One> ? One : never;
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

function doWrite(database: Database, each: Write): void {
  if (each.do === 'begin') database.begin();
  else if (each.do === 'insert') database.insert(each.choice, each.shard);
  else database.commit(each.choice);
}

function doAll(database: Database, cursors: FetchCursors, steps: readonly Step[]): void {
  for (const each of steps) {
    if (each.do !== 'fetch') doWrite(database, each);
    else
      database.fetch(cursors, each.limit, each.shards, () => {
        for (const one of each.meanwhile) doWrite(database, one);
      });
  }
}

describe('the cursors of fetches', () => {
  it('skip no row, in whatever order transactions stamp, commit and are read', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const database = new Database();
        const cursors = new FetchCursors();
        doAll(database, cursors, steps);
        database.fetch(cursors, Infinity);
        expect(database.left()).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('leave behind all that was taken, whatever came before, when only polls are left', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const database = new Database();
        const cursors = new FetchCursors();
        doAll(database, cursors, steps);
        database.commitAll();
        for (let poll = 0; poll < 3; poll += 1) database.fetch(cursors, Infinity);
        expect(database.fetch(cursors, Infinity)).toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('leave behind what was taken before, also while some transaction is always running', () => {
    const database = new Database();
    const cursors = new FetchCursors();
    database.begin();
    let read = 0;
    for (let round = 0; round < 200; round += 1) {
      database.begin();
      database.insert(1, 0);
      database.commit(0);
      read = database.fetch(cursors, 10);
    }
    expect(read).toBeLessThan(5);
  });

  it('leave behind what was taken while a long transaction ran, when only polls are left', () => {
    const database = new Database();
    const cursors = new FetchCursors();
    database.begin();
    for (let round = 0; round < 10; round += 1) {
      database.begin();
      database.insert(1, 0);
      database.commit(1);
      database.fetch(cursors, 10);
    }
    database.commit(0);
    database.fetch(cursors, 10);
    database.fetch(cursors, 10);
    expect(database.fetch(cursors, 10)).toBe(0);
  });

  it('of a new owner leave behind what the one before has taken, when there are only polls', () => {
    const database = new Database();
    database.begin();
    for (let row = 0; row < 10; row += 1) database.insert(0, 0);
    database.commit(0);
    database.fetch(new FetchCursors(), 10);
    const cursors = new FetchCursors();
    expect(database.fetch(cursors, 10)).toBe(10);
    expect(cursors.needsId).toBe(false);
    database.fetch(cursors, 10);
    expect(database.fetch(cursors, 10)).toBe(0);
  });

  it('wait a minute, and no longer, for a transaction that does not end', () => {
    let nowMs = 0;
    const database = new Database();
    const cursors = new FetchCursors(() => nowMs);
    const publish = (): void => {
      database.begin();
      database.insert(1, 0);
      database.commit(1);
    };
    database.begin();
    const publishAndFetchForAMinute = (): void => {
      for (let second = 0; second < 60; second += 1) {
        publish();
        database.fetch(cursors, 10);
        nowMs += 1_000;
      }
    };
    publishAndFetchForAMinute();
    expect(cursors.of(0)).toBe(0);
    publishAndFetchForAMinute();
    expect(cursors.of(0)).toBeGreaterThan(0);
  });

  it('go back to the oldest row when the clock was set back, or on request', () => {
    const database = new Database();
    const cursors = new FetchCursors();
    const publishAndFetch = (): void => {
      database.begin();
      database.insert(0, 0);
      database.commit(0);
      for (let fetch = 0; fetch < 3; fetch += 1) database.fetch(cursors, 10);
      expect(database.left()).toEqual([]);
    };
    database.setClock(1_000);
    publishAndFetch();
    expect(cursors.of(0)).toBeGreaterThan(1_000);
    database.setClock(500);
    publishAndFetch();
    expect(cursors.of(0)).toBeGreaterThan(500);
    expect(cursors.of(0)).toBeLessThan(600);
    cursors.reset(0);
    expect(cursors.of(0)).toBe(0);
  });
});
