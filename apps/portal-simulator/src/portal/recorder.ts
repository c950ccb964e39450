import type { Values } from '../protocol/php.js';

/** More than any test looks at; a flood of them stays bounded. */
const MAX_RECORDS = 10_000;

/** What callers did to a portal: `GET /_sim/portals/<name>/notifications`, `…/tasks` and `…/writes`. */
export class Recorder {
  /** Calls of `crm.*` that changed something, also in a batch, in their order. */
  readonly writes = new Records();
  readonly notifications = new Records();
  readonly tasks = new Records();
}

/** The newest ones, numbered from 1. */
class Records {
  private lastId = 0;
  private records: (Values & { id: number })[] = [];

  add(values: Values): { id: number } {
    this.lastId += 1;
    const record = { ...values, id: this.lastId };
    if (this.records.length === MAX_RECORDS) this.records.shift();
    this.records.push(record);
    return record;
  }

  all(): readonly Values[] {
    return this.records;
  }
}
