import type { CrashLog } from '../src/poison/poison-detector.js';

/** A crash log in memory that outlives a dispatcher within one test. */
export class MemoryCrashLog implements CrashLog {
  readonly rows = new Map<string, { unfinished: number; entity: string | undefined; starts: number }>();

  async begin(memberId: string): Promise<number> {
    const row = this.rows.get(memberId) ?? { unfinished: 0, entity: undefined, starts: 0 };
    this.rows.set(memberId, { ...row, unfinished: row.unfinished + 1 });
    return row.unfinished;
  }

  async beginSolo(memberId: string, entity: string): Promise<number> {
    const row = this.rows.get(memberId);
    if (!row) throw new Error('No batch has begun');
    const starts = row.entity === entity ? row.starts : 0;
    this.rows.set(memberId, { ...row, entity, starts: starts + 1 });
    return starts;
  }

  async end(memberId: string, done: boolean): Promise<void> {
    const row = this.rows.get(memberId);
    if (!row) return;
    if (done) this.rows.delete(memberId);
    else this.rows.set(memberId, { unfinished: row.unfinished - 1, entity: undefined, starts: 0 });
  }
}
