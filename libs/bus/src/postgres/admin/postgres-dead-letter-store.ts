import type pg from 'pg';
import { NoSuchConsumerError } from '../../admin/errors.js';
import {
  SCAN_LIMIT,
  type DeadLetterStore,
  type LetterSelector,
  type LetterSelection,
  type ScanResult,
} from '../../admin/dead-letter-store.js';
import type { DeadLetterRecord } from '../../admin/dead-letter.js';
import { knowsConsumer } from './consumer-counts.js';

const PAGE_ROWS = 500;

const PAGE_SQL = `
  SELECT id, code, message, attempts, content::text AS content,
         (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
         (extract(epoch FROM last_failed_at) * 1000)::float8 AS "lastFailedAt"
  FROM bus.dead_letters WHERE consumer = $1 AND id > $2 ORDER BY id LIMIT $3`;

// One statement, so that a letter exists in exactly one table, and a concurrent replay finds none.
const REPLAY_SQL = `
  WITH gone AS (
    DELETE FROM bus.dead_letters WHERE consumer = $1 AND id = $2 RETURNING consumer, shard, content
  ), back AS (
    INSERT INTO bus.messages (consumer, shard, content) SELECT consumer, shard, content FROM gone
    RETURNING consumer
  )
  SELECT pg_notify('b24.bus.' || consumer, '') FROM back`;

interface Row {
  id: string;
  code: string;
  message: string;
  attempts: number;
  content: string;
  firstFailedAt: number;
  lastFailedAt: number;
}

/** The consumer's rows of `bus.dead_letters`. */
export class PostgresDeadLetterStore implements DeadLetterStore {
  constructor(private readonly database: pg.Pool) {}

  async scan<T>(
    consumer: string,
    pick: LetterSelector,
    work: (picked: LetterSelection, sight: ScanResult) => Promise<T>,
  ): Promise<T> {
    if (!(await knowsConsumer(this.database, consumer))) throw new NoSuchConsumerError(consumer);
    const ids: string[] = [];
    const sight: ScanResult = { examined: 0, more: false };
    let page: Row[] = [];
    for (let after = '0'; sight.examined <= SCAN_LIMIT; after = page.at(-1)?.id ?? after) {
      ({ rows: page } = await this.database.query<Row>(PAGE_SQL, [consumer, after, PAGE_ROWS]));
      if (page.length === 0) break;
      sight.more = sight.examined + page.length > SCAN_LIMIT;
      for (const row of page.slice(0, SCAN_LIMIT - sight.examined)) {
        if (pick(letterOf(consumer, row)) !== 'no') ids.push(row.id);
      }
      sight.examined += page.length;
    }
    return work(new SelectedRows(this.database, consumer, ids), sight);
  }
}

class SelectedRows implements LetterSelection {
  constructor(
    private readonly database: pg.Pool,
    private readonly consumer: string,
    private readonly ids: readonly string[],
  ) {}

  get count(): number {
    return this.ids.length;
  }

  async replay(index: number): Promise<void> {
    await this.database.query(REPLAY_SQL, [this.consumer, this.ids[index]]);
  }

  async drop(): Promise<void> {
    await this.database.query(
      'DELETE FROM bus.dead_letters WHERE consumer = $1 AND id = ANY ($2::bigint[])',
      [this.consumer, this.ids],
    );
  }
}

function letterOf(consumer: string, { content, ...row }: Row): DeadLetterRecord {
  return { ...row, consumer, content: Buffer.from(content) };
}
